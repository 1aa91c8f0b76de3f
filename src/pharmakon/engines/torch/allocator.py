"""Settings of the C library and of torch that a worker process makes once, before its first large allocation."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

from pharmakon.extras import need

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def keep_memory() -> bool:
    """Tell glibc to keep freed memory instead of giving it back after every step; True where that worked.

    The page faults otherwise cost more than the arithmetic of a small model.
    """
    if not sys.platform.startswith("linux"):
        return False
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        settings = ((_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, 1 << 28))
        return all(libc.mallopt(name, value) == 1 for name, value in settings)
    return False


def prepare(num_threads: int = 1) -> None:
    """One thread, deterministic kernels, and an allocator that keeps its memory."""
    need("torch")
    keep_memory()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, no deterministic products on a GPU
    import torch
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(num_threads)
    torch.use_deterministic_algorithms(True)
    # A check for bugs that costs a twentieth of the time; torch's stubs do not know the name.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
