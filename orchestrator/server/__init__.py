"""JSON-RPC over WebSocket, and the dashboard."""
