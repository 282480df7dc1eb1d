"""What every driver must do: inherit DriverContract and say how to make the driver."""

from __future__ import annotations

from typing import ClassVar, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hgx.drivers.base import Buffer, DeviceError, Driver, Measures, OutOfDeviceMemory

Against = Literal["hardware", "CPU runtime", "recordings", "stand-in"]

ONE_DEVICE = "there is only one device here"
NOT_MEASURING = "this driver does not measure"

_CONTENT = bytes(range(256)) * 16
_MIB = 1024**2


class DriverContract:
    """Tests of the contract; each starts with a fresh, initialized driver.

    Attributes:
        against: What the driver works with in these tests; docs/platforms.md tells it.
        runtime: The distribution of that runtime, whose version is told too.
        part: Which devices of the backend they are, where it has unlike ones.
    """

    against: ClassVar[Against]
    runtime: ClassVar[str]
    part: ClassVar[str] = ""

    def create(self) -> Driver:
        """Make the driver under test, with at least one device."""
        raise NotImplementedError

    def start(self) -> Driver:
        """Make the driver and initialize it."""
        driver = self.create()
        driver.initialize()
        return driver

    def test_devices_are_numbered_from_zero(self) -> None:
        """Devices are listed in the order of their index, named, and found by it."""
        driver = self.start()
        devices = driver.list_devices()
        assert [device.index for device in devices] == list(range(len(devices)))
        for device in devices:
            assert driver.get_device(device.index) == device
            assert device.name
            assert device.memory_total_bytes > 0

    @pytest.mark.parametrize("index", [-1, 1000])
    def test_unknown_device(self, index: int) -> None:
        """A device that is not there is an error, whatever is asked of it."""
        driver = self.start()
        for call in (
            driver.get_device,
            driver.synchronize,
            driver.memory_info,
            driver.temperature,
            driver.power,
            driver.clock,
        ):
            with pytest.raises(DeviceError):
                call(index)
        with pytest.raises(DeviceError):
            driver.allocate(index, 1)

    def test_nothing_works_before_initialize(self) -> None:
        """A driver that is not initialized refuses instead of guessing."""
        driver = self.create()
        for call in (driver.list_devices, lambda: driver.allocate(0, 1)):
            with pytest.raises(DeviceError):
                call()

    def test_initialize_and_shutdown_twice(self) -> None:
        """Initializing twice and shutting down twice are harmless."""
        driver = self.start()
        driver.initialize()
        driver.shutdown()
        driver.shutdown()

    def test_shutdown_frees_all(self) -> None:
        """After shutdown the driver refuses, and old buffers are gone even when it runs again."""
        driver = self.start()
        buffer = driver.allocate(0, 8)
        driver.shutdown()
        with pytest.raises(DeviceError):
            driver.list_devices()
        driver.initialize()
        with pytest.raises(DeviceError):
            driver.copy_from_device(buffer)

    def test_content_comes_back(self) -> None:
        """What is copied to a device comes back from it unchanged."""
        driver = self.start()
        buffer = driver.allocate(0, len(_CONTENT))
        assert (buffer.index, buffer.size_bytes) == (0, len(_CONTENT))
        driver.copy_to_device(_CONTENT, buffer)
        driver.synchronize(0)
        assert driver.copy_from_device(buffer) == _CONTENT
        assert driver.copy_from_device(buffer, 16, 32) == _CONTENT[32:48]

    @pytest.mark.parametrize(("size", "offset"), [(None, 0), (16, 0), (16, 32), (None, 32), (0, 0)])
    def test_content_comes_back_into_memory_of_the_host(
        self, size: int | None, offset: int
    ) -> None:
        """A copy fills the beginning of the host's memory, leaves its rest, and returns nothing."""
        driver = self.start()
        buffer = driver.allocate(0, len(_CONTENT))
        driver.copy_to_device(_CONTENT, buffer)
        expected = _CONTENT[offset:] if size is None else _CONTENT[offset : offset + size]
        rest = b"?" * (len(_CONTENT) - len(expected) + 8)
        target = bytearray(b"?" * (len(_CONTENT) + 8))
        for into in (target, memoryview(target)):
            target[:] = b"?" * len(target)
            assert driver.copy_from_device(buffer, size, offset, into=into) == b""
            assert target == expected + rest

    def test_memory_of_the_host_that_does_not_do(self) -> None:
        """Memory of the host that is too small or cannot be written is refused, and unchanged."""
        driver = self.start()
        buffer = driver.allocate(0, 8)
        driver.copy_to_device(b"12345678", buffer)
        small = bytearray(b"abcdefg")
        scattered = memoryview(bytearray(32))[::2]
        for into in (small, memoryview(b"abcdefgh"), scattered):
            with pytest.raises(DeviceError):
                driver.copy_from_device(buffer, into=into)
        with pytest.raises(DeviceError):
            driver.copy_from_device(buffer, 4, into=memoryview(small)[:3])
        assert small == b"abcdefg"

    # Every driver's class runs this one function, which is what that check warns of.
    @settings(suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow])
    @given(st.binary(min_size=1, max_size=64), st.data())
    def test_parts_can_be_written(self, content: bytes, data: st.DataObject) -> None:
        """Writing at an offset changes those bytes and no others."""
        driver = self.start()
        offset = data.draw(st.integers(0, len(content)))
        part = data.draw(st.binary(max_size=len(content) - offset))
        buffer = driver.allocate(0, len(content))
        driver.copy_to_device(content, buffer)
        driver.copy_to_device(part, buffer, offset)
        expected = content[:offset] + part + content[offset + len(part) :]
        assert driver.copy_from_device(buffer) == expected
        driver.shutdown()

    def test_copies_between_buffers(self) -> None:
        """A buffer is copied to the beginning of another, whose rest stays."""
        driver = self.start()
        source, target = driver.allocate(0, 4), driver.allocate(0, 6)
        driver.copy_to_device(b"abcd", source)
        driver.copy_to_device(b"123456", target)
        driver.copy_device_to_device(source, target)
        assert driver.copy_from_device(target) == b"abcd56"
        with pytest.raises(DeviceError):
            driver.copy_device_to_device(target, source)

    @pytest.mark.parametrize(("offset", "size"), [(0, 9), (8, 1), (9, 0), (-1, 1), (4, -1)])
    def test_copies_stay_inside(self, offset: int, size: int) -> None:
        """A copy that would leave the buffer is refused."""
        driver = self.start()
        buffer = driver.allocate(0, 8)
        with pytest.raises(DeviceError):
            driver.copy_from_device(buffer, size, offset)
        if size >= 0:
            with pytest.raises(DeviceError):
                driver.copy_to_device(bytes(size), buffer, offset)

    def test_use_after_free(self) -> None:
        """A buffer that was given back cannot be used or given back again."""
        driver = self.start()
        buffer, other = driver.allocate(0, 8), driver.allocate(0, 8)
        driver.deallocate(buffer)
        for call in (
            lambda: driver.deallocate(buffer),
            lambda: driver.copy_from_device(buffer),
            lambda: driver.copy_to_device(b"x", buffer),
            lambda: driver.copy_device_to_device(buffer, other),
            lambda: driver.copy_device_to_device(other, buffer),
        ):
            with pytest.raises(DeviceError):
                call()

    def test_foreign_buffers(self) -> None:
        """A buffer of another driver, or one made by hand, is refused."""
        driver, other = self.start(), self.start()
        for buffer in (other.allocate(0, 8), Buffer(0, 8)):
            with pytest.raises(DeviceError):
                driver.copy_from_device(buffer)

    @pytest.mark.parametrize("size", [0, -1])
    def test_empty_buffers(self, size: int) -> None:
        """A buffer has at least one byte."""
        with pytest.raises(DeviceError):
            self.start().allocate(0, size)

    def test_copies_between_devices(self) -> None:
        """A buffer is copied to another device of the same driver."""
        driver = self.start()
        devices = driver.list_devices()
        if len(devices) < 2:
            pytest.skip(ONE_DEVICE)
        source, target = driver.allocate(0, 4), driver.allocate(1, 4)
        driver.copy_to_device(b"abcd", source)
        driver.copy_device_to_device(source, target)
        driver.synchronize(1)
        assert driver.copy_from_device(target) == b"abcd"
        assert driver.copy_from_device(source) == b"abcd"

    def test_out_of_memory(self) -> None:
        """Asking for more than there is fails in one line, and the driver goes on working."""
        driver = self.start()
        before = driver.allocate(0, 4)
        driver.copy_to_device(b"abcd", before)
        for _ in range(3):
            with pytest.raises(OutOfDeviceMemory) as caught:
                driver.allocate(0, 1 << 60)
            assert "\n" not in caught.value.message
        after = driver.allocate(0, 4)
        driver.copy_device_to_device(before, after)
        assert driver.copy_from_device(after) == b"abcd"

    def test_memory(self) -> None:
        """No more memory is free than there is, and there is as much as the device says."""
        driver = self.start()
        memory = driver.memory_info(0)
        assert memory.total_bytes == driver.get_device(0).memory_total_bytes
        assert memory.free_bytes is None or 0 <= memory.free_bytes <= memory.total_bytes

    def test_sensors(self) -> None:
        """Readings are in the range of real hardware, or null."""
        driver = self.start()
        temperature, power, clock = driver.temperature(0), driver.power(0), driver.clock(0)
        assert temperature is None or -60 < temperature < 150
        assert power is None or 0 <= power < 5000
        assert clock is None or 1e6 < clock < 2e10

    def measuring(self) -> Measures:
        """Make the driver and initialize it; skip the test where it cannot measure."""
        driver = self.start()
        if not isinstance(driver, Measures):
            pytest.skip(NOT_MEASURING)
        return driver

    def test_reading(self) -> None:
        """Reading memory says how much one run reads, does it, and finds the numbers right."""
        driver = self.measuring()
        with driver.read_bandwidth(0, _MIB + 3) as kernel:
            for _ in range(2):
                kernel.run()
                kernel.check()
        assert 0 < kernel.work <= _MIB + 3
        assert kernel.method

    def test_multiplying(self) -> None:
        """Every data type named is multiplied and found right, float32 first among them."""
        driver = self.measuring()
        types = driver.matmul_types(0)
        assert types[0] == "float32"
        for dtype in types:
            with driver.matmul(0, dtype, 64) as kernel:
                for _ in range(2):
                    kernel.run()
                    kernel.check()
            assert kernel.work == 2 * 64**3
            assert dtype in kernel.method

    def test_other_types(self) -> None:
        """A data type that is not named is refused."""
        with pytest.raises(DeviceError), self.measuring().matmul(0, "complex128", 8):
            pass

    def test_too_much_to_measure(self) -> None:
        """Work that does not fit into memory is refused, and the driver goes on working."""
        driver = self.measuring()
        with pytest.raises(OutOfDeviceMemory), driver.read_bandwidth(0, 1 << 60):
            pass
        with pytest.raises(OutOfDeviceMemory), driver.matmul(0, "float32", 1 << 28):
            pass
        with driver.matmul(0, "float32", 8) as kernel:
            kernel.run()
            kernel.check()

    def test_measuring_needs_a_device(self) -> None:
        """Nothing is measured on a device that is not there."""
        driver = self.measuring()
        with pytest.raises(DeviceError):
            driver.matmul_types(1000)
        for context in (driver.read_bandwidth(1000, 64), driver.matmul(1000, "float32", 8)):
            with pytest.raises(DeviceError), context:
                pass
