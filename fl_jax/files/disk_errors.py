"""What an OSError of a write means, and what to do about it."""

import errno
import os

_REASONS = {
    errno.EROFS: "its file system is read-only",
    errno.EACCES: "this user may not write there",
    errno.EPERM: "this user may not write there",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "this user's disk quota is used up",
    errno.EFBIG: "the file is larger than this process may write (ulimit -f)",
    errno.ENOTDIR: "part of the path is a file",
    errno.EEXIST: "part of the path is a file, or a link to nowhere",
    errno.ENOLCK: "its file system does not support locks",
}


def explain(folder: str | os.PathLike[str], error: OSError, flag: str) -> OSError:
    """The error of a folder that cannot be written, with the reason; `flag` names the folder."""
    reason = _REASONS.get(error.errno or 0, str(error))
    return OSError(f"{folder} cannot be written: {reason}; fix this, or use another {flag}")


def explain_full_disk(error: OSError) -> str:
    """What to do about a disk that filled up during a run; empty for every other error."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return ""
    return (
        f"{error.filename or 'a file'} cannot be written: {_REASONS[error.errno]}; free some space and run "
        "this again: finished work is kept"
    )
