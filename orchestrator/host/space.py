"""How the system says that nothing more can be written."""

from __future__ import annotations

import errno
from typing import Final

NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The disk, the user's quota or the process's own limit is used up."""


def no_space(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in NO_SPACE
