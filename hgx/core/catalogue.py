"""Devices that one could add, with their vendors' figures: nothing here was measured.

Memory is in GiB, bandwidth in GB/s, arithmetic in TFLOP/s of dense FP16 products, summed up in FP32
where the vendor gives both: for GeForce cards that is what the whitepapers' tables give, four times
cores times boost clock (eight times in the RTX 20 series), and the same from the clocks on their
pages for those that no table has. Of a Jetson it is a quarter of the sparse INT8 figure. Of a
processor it follows from cores, base clock and the width of its vectors, in FP32 where it has no
FP16. What a vendor says nothing of is assumed, from cores and clock, and marked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Offer(NamedTuple):
    """A device, by its vendor's figures.

    Attributes:
        name: What it is called here, such as ``rtx3060`` or ``m4pro-24gb``.
        product: What its vendor calls it.
        backend: The backend of hgx that would use it.
        memory_gib: Its memory, in GiB.
        bandwidth_gb_per_s: Rate at which its memory is read at best, in 1e9 bytes per second.
        fp16_tflops: Dense FP16 matrix products, in 1e12 operations per second.
        source: Titles of the vendor's pages.
        whole: Whether it is a machine of its own and no card to put into one.
        assumed: Whether its arithmetic is not the vendor's figure, but an assumption.
    """

    name: str
    product: str
    backend: str
    memory_gib: int
    bandwidth_gb_per_s: float
    fp16_tflops: float
    source: str
    whole: bool = False
    assumed: bool = False


_TURING = "NVIDIA Turing GPU Architecture; GeForce RTX 20 Series"
_AMPERE = "NVIDIA Ampere GA102 GPU Architecture; GeForce RTX 30 Series"
_ADA = "NVIDIA Ada GPU Architecture; GeForce RTX 40 Series"
_BLACKWELL = "NVIDIA RTX Blackwell GPU Architecture; GeForce RTX 50 Series"

_NVIDIA = (
    Offer("rtx2060", "NVIDIA GeForce RTX 2060", "cuda", 6, 336, 25.8, _TURING),
    Offer("rtx2080ti", "NVIDIA GeForce RTX 2080 Ti", "cuda", 11, 616, 53.8, _TURING),
    Offer("rtx3060", "NVIDIA GeForce RTX 3060", "cuda", 12, 360, 25.5, _AMPERE),
    Offer("rtx3070", "NVIDIA GeForce RTX 3070", "cuda", 8, 448, 40.6, _AMPERE),
    Offer("rtx3080", "NVIDIA GeForce RTX 3080", "cuda", 10, 760, 59.5, _AMPERE),
    Offer("rtx3090", "NVIDIA GeForce RTX 3090", "cuda", 24, 936, 71.0, _AMPERE),
    Offer("rtx4060", "NVIDIA GeForce RTX 4060", "cuda", 8, 272, 30.2, _ADA),
    Offer("rtx4060ti-16gb", "NVIDIA GeForce RTX 4060 Ti", "cuda", 16, 288, 44.1, _ADA),
    Offer("rtx4070", "NVIDIA GeForce RTX 4070", "cuda", 12, 504, 58.3, _ADA),
    Offer("rtx4070ti-super", "NVIDIA GeForce RTX 4070 Ti SUPER", "cuda", 16, 672, 88.2, _ADA),
    Offer("rtx4090", "NVIDIA GeForce RTX 4090", "cuda", 24, 1008, 165.2, _ADA),
    Offer("rtx5060ti-16gb", "NVIDIA GeForce RTX 5060 Ti", "cuda", 16, 448, 47.4, _BLACKWELL),
    Offer("rtx5070", "NVIDIA GeForce RTX 5070", "cuda", 12, 672, 61.7, _BLACKWELL),
    Offer("rtx5070ti", "NVIDIA GeForce RTX 5070 Ti", "cuda", 16, 896, 87.9, _BLACKWELL),
    Offer("rtx5080", "NVIDIA GeForce RTX 5080", "cuda", 16, 960, 112.6, _BLACKWELL),
    Offer("rtx5090", "NVIDIA GeForce RTX 5090", "cuda", 32, 1792, 209.5, _BLACKWELL),
    Offer("rtxa6000", "NVIDIA RTX A6000", "cuda", 48, 768, 154.8, "NVIDIA RTX A6000 datasheet"),
    Offer("a100-80gb", "NVIDIA A100 PCIe", "cuda", 80, 1935, 312, "NVIDIA A100 datasheet"),
    Offer("h100-pcie", "NVIDIA H100 PCIe", "cuda", 80, 2000, 756, "NVIDIA H100 datasheet"),
    Offer("h100-sxm", "NVIDIA H100 SXM", "cuda", 80, 3350, 989, "NVIDIA H100 datasheet"),
)

_RADEON = "AMD Radeon RX Graphics Cards, specifications"
_INSTINCT = "AMD Instinct Accelerators, data sheets"

_AMD = (
    Offer("rx7900xt", "AMD Radeon RX 7900 XT", "rocm", 20, 800, 103, _RADEON),
    Offer("rx7900xtx", "AMD Radeon RX 7900 XTX", "rocm", 24, 960, 122.8, _RADEON),
    Offer("rx9070", "AMD Radeon RX 9070", "rocm", 16, 640, 145, _RADEON),
    Offer("rx9070xt", "AMD Radeon RX 9070 XT", "rocm", 16, 640, 195, _RADEON),
    Offer("mi50-32gb", "AMD Radeon Instinct MI50", "rocm", 32, 1024, 26.5, _INSTINCT),
    Offer("mi210", "AMD Instinct MI210", "rocm", 64, 1638.4, 181, _INSTINCT),
    Offer("mi300x", "AMD Instinct MI300X", "rocm", 192, 5300, 1307.4, _INSTINCT),
)


class _Machine(NamedTuple):
    """A machine of its own, as ``Offer``, but for the memories that it may have."""

    name: str
    product: str
    backend: str
    sizes_gib: tuple[int, ...]
    bandwidth_gb_per_s: float
    fp16_tflops: float
    source: str
    assumed: bool = False

    def offers(self) -> Iterator[Offer]:
        """One for each of its memories."""
        for size in self.sizes_gib:
            yield Offer(
                name=f"{self.name}-{size}gb",
                product=self.product,
                backend=self.backend,
                memory_gib=size,
                bandwidth_gb_per_s=self.bandwidth_gb_per_s,
                fp16_tflops=round(self.fp16_tflops, 3),
                source=self.source,
                whole=True,
                assumed=self.assumed,
            )


_M1_CORE = 2.6 / 8
_M2_CORE = 3.6 / 10
"""TFLOP/s of one core of a GPU in FP32; FP16 is taken to be as fast. An M1's is by what Apple says
of the whole. An M2's is taken for 128 lanes at 1.4 GHz, and those of later GPUs for the same."""

_M1 = "Apple unleashes M1 (128 bits of LPDDR4X-4266)"
_M1_PRO = "Introducing M1 Pro and M1 Max"
_M2 = "Apple unveils M2"
_M2_PRO = "Apple unveils M2 Pro and M2 Max"
_M2_ULTRA = "Apple introduces M2 Ultra"
_M3 = "Apple unveils M3, M3 Pro, and M3 Max; MacBook Pro, technical specifications"
_M3_UP = "Apple reveals M3 Ultra; Mac Studio, technical specifications"
_M4 = "Apple introduces M4 Pro and M4 Max"

_APPLE = (
    _Machine("m1", "Apple M1", "metal", (8, 16), 68.25, 8 * _M1_CORE, _M1),
    _Machine("m1pro", "Apple M1 Pro", "metal", (16, 32), 200, 16 * _M1_CORE, _M1_PRO),
    _Machine("m1max", "Apple M1 Max", "metal", (32, 64), 400, 32 * _M1_CORE, _M1_PRO),
    _Machine("m2", "Apple M2", "metal", (8, 16, 24), 100, 10 * _M2_CORE, _M2, True),
    _Machine("m2max", "Apple M2 Max", "metal", (32, 64, 96), 400, 38 * _M2_CORE, _M2_PRO, True),
    _Machine("m2ultra", "Apple M2 Ultra", "metal", (64, 192), 800, 76 * _M2_CORE, _M2_ULTRA, True),
    _Machine("m3max", "Apple M3 Max", "metal", (48, 64, 128), 400, 40 * _M2_CORE, _M3, True),
    _Machine("m3ultra", "Apple M3 Ultra", "metal", (256, 512), 819, 80 * _M2_CORE, _M3_UP, True),
    _Machine("m4", "Apple M4", "metal", (16, 24, 32), 120, 10 * _M2_CORE, _M4, True),
    _Machine("m4pro", "Apple M4 Pro", "metal", (24, 48, 64), 273, 20 * _M2_CORE, _M4, True),
    _Machine("m4max", "Apple M4 Max", "metal", (48, 64, 128), 546, 40 * _M2_CORE, _M4, True),
)

_AVX2 = 32e-3
_AVX512 = 64e-3
_SMALL_CORE = 16e-3
_NEON = 32e-3
_WIDE_NEON = 64e-3
"""TFLOP/s of one core at one GHz: two sums of products a cycle on vectors of 256 bits in FP32, two
on such of 512, one on such of 256; two in FP16 on such of 128 bits, four."""

_ZEN3 = "AMD Ryzen 5000 Series, specifications (two channels of DDR4-3200)"
_ZEN4 = "AMD Ryzen 7000 Series, specifications (two channels of DDR5-5200)"
_ZEN5 = "AMD Ryzen 9000 Series, specifications (two channels of DDR5-5600)"
_EPYC = "AMD EPYC 9004 Series, specifications (twelve channels of DDR5-4800)"
_CORE = "Intel Core Processors, product specifications (maximum memory bandwidth)"

_I9_13900K = 8 * 3.0 * _AVX2 + 16 * 2.2 * _SMALL_CORE

_PROCESSORS = (
    _Machine("i5-12400", "Intel Core i5-12400", "cpu", (16, 32, 64), 76.8, 6 * 2.5 * _AVX2, _CORE),
    _Machine("i9-13900k", "Intel Core i9-13900K", "cpu", (32, 64, 128), 89.6, _I9_13900K, _CORE),
    _Machine("r5-5600", "AMD Ryzen 5 5600", "cpu", (16, 32, 64), 51.2, 6 * 3.5 * _AVX2, _ZEN3),
    _Machine("r9-5950x", "AMD Ryzen 9 5950X", "cpu", (32, 64, 128), 51.2, 16 * 3.4 * _AVX2, _ZEN3),
    _Machine("r9-7950x", "AMD Ryzen 9 7950X", "cpu", (64, 128), 83.2, 16 * 4.5 * _AVX2, _ZEN4),
    _Machine("r9-9950x", "AMD Ryzen 9 9950X", "cpu", (64, 128), 89.6, 16 * 4.3 * _AVX512, _ZEN5),
    _Machine("epyc-9654", "AMD EPYC 9654", "cpu", (384, 768), 460.8, 96 * 2.4 * _AVX2, _EPYC),
)

_8GEN3 = 3.3 * _WIDE_NEON + (3 * 3.2 + 2 * 3.0) * _NEON
_8ELITE = (2 * 4.32 + 6 * 3.53) * _WIDE_NEON

_SD_8GEN3 = "Snapdragon 8 Gen 3 Mobile Platform, product brief (LPDDR5X, 4800 MHz)"
_SD_8ELITE = "Snapdragon 8 Elite Mobile Platform, product brief (LPDDR5X, 5300 MHz)"
_PI5 = "Raspberry Pi 5, product brief (LPDDR4X-4267)"
_ORIN_NANO = "Jetson Orin Nano Super Developer Kit, datasheet"
_AGX_ORIN = "NVIDIA Jetson AGX Orin Series, technical brief"
_HALO = "AMD Ryzen AI Max+ 395, specifications (40 compute units at 2.9 GHz)"

_OTHERS = (
    _Machine("sd-8gen3", "Snapdragon 8 Gen 3", "cpu", (8, 12, 16), 76.8, _8GEN3, _SD_8GEN3, True),
    _Machine("sd-8elite", "Snapdragon 8 Elite", "cpu", (12, 16), 84.8, _8ELITE, _SD_8ELITE, True),
    _Machine("pi5", "Raspberry Pi 5", "cpu", (4, 8, 16), 17.1, 4 * 2.4 * _NEON, _PI5),
    _Machine("orin-nano-super", "Jetson Orin Nano Super", "cuda", (8,), 102, 16.75, _ORIN_NANO),
    _Machine("agx-orin", "Jetson AGX Orin", "cuda", (64,), 204.8, 42.5, _AGX_ORIN),
    _Machine("ai-max-395", "AMD Ryzen AI Max+ 395", "rocm", (64, 96, 128), 256, 59.4, _HALO, True),
)

CATALOGUE: Mapping[str, Offer] = {
    offer.name: offer
    for offer in (
        *_NVIDIA,
        *_AMD,
        *(offer for machine in (*_APPLE, *_PROCESSORS, *_OTHERS) for offer in machine.offers()),
    )
}
"""All of it, by name."""
