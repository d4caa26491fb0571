"""GPU utilisation and memory from NVIDIA's management library, by ctypes: no package to install.

The driver's own library (libnvidia-ml.so.1) is in a container that was given GPUs. Where there is none nothing is
known, and nobody asks twice. A driver can fail or hang at any call: this runs in a thread of its own (`meter`), and
every answer is optional.

Only GPUs that the container may use are told: the library counts all of the machine's and refuses the others. Of a
GPU that is cut into slices (MIG) NVML has no utilisation, and memory of all slices together: nothing is told then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Tuple

from trainingjob_launcher.contract import GpuUsage
from trainingjob_launcher.log import say
from trainingjob_launcher.report_usage import MAX_BYTES, MAX_GPUS, within

if TYPE_CHECKING:
    import ctypes

LIBRARY = "libnvidia-ml.so.1"
SUCCESS = 0
#: A GPU that the container was not given.
NO_PERMISSION = 4
#: The kernel module is not there: a machine without GPUs whose image has the library.
DRIVER_NOT_LOADED = 9
_FUNCTIONS = (
    "nvmlInit_v2",
    "nvmlShutdown",
    "nvmlDeviceGetCount_v2",
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetMemoryInfo",
)


class Nvml:
    """The library, initialised. For one thread."""

    def __init__(self, library: ctypes.CDLL) -> None:
        import ctypes

        self._library = library
        self._ctypes = ctypes
        # nvmlUtilization_t {unsigned int gpu, memory}, in percent; nvmlMemory_t {unsigned long long total, free,
        # used}, in bytes; nvmlDevice_t is a pointer.
        self._two = ctypes.c_uint * 2
        self._three = ctypes.c_ulonglong * 3

    @classmethod
    def open(cls, env: Mapping[str, str], name: str = LIBRARY) -> Optional[Nvml]:
        """Load and initialise the library; return None where there is none, or nothing to tell with it."""
        if "MIG-" in env.get("NVIDIA_VISIBLE_DEVICES", ""):
            return None
        try:
            import ctypes

            library = ctypes.CDLL(name)
            for function in _FUNCTIONS:
                getattr(library, function).restype = ctypes.c_int
        except (ImportError, OSError, AttributeError):
            return None
        code = library.nvmlInit_v2()
        if code != SUCCESS:
            if code != DRIVER_NOT_LOADED:
                say(f"the GPUs' usage can't be read: NVML does not start (code {code})")
            return None
        return cls(library)

    def read(self) -> Tuple[GpuUsage, ...]:
        """Return each GPU that we may use, in the library's order, at most `MAX_GPUS`."""
        ctypes = self._ctypes
        count = ctypes.c_uint()
        if self._library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != SUCCESS:
            return ()
        gpus: List[GpuUsage] = []
        for index in range(min(count.value, 256)):
            handle = ctypes.c_void_p()
            code = self._library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle))
            if code == SUCCESS:
                gpus.append(self._gpu(handle))
            elif code != NO_PERMISSION:
                gpus.append(GpuUsage())  # ours, and in trouble: it keeps its place
        return tuple(gpus[:MAX_GPUS])

    def close(self) -> None:
        """Let go of the driver."""
        self._library.nvmlShutdown()

    def _gpu(self, handle: Any) -> GpuUsage:
        rates, memory = self._two(), self._three()
        device = self._library
        byref = self._ctypes.byref
        rated = device.nvmlDeviceGetUtilizationRates(handle, byref(rates)) == SUCCESS
        known = device.nvmlDeviceGetMemoryInfo(handle, byref(memory)) == SUCCESS
        return GpuUsage(
            within(rates[0], 100) if rated else None,
            # All bits set is NVML's word for a number that it does not have.
            within(memory[2], MAX_BYTES) if known else None,
            within(memory[0], MAX_BYTES) if known else None,
        )
