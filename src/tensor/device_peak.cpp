#include "headwater/tensor/device_peak.h"

#include "headwater/base/error.h"

#include <fmt/format.h>

#include <string_view>

namespace headwater {
namespace {

struct Figures {
  double bf16, f32;  // of dense products; 0 if not known here
  double of(DType dtype) const { return dtype == DType::bf16 ? bf16 : f32; }
};

// FLOP/s from NVIDIA's data sheets and white papers, by the name that the driver gives. The name tells
// variants apart: "H100 80GB HBM3" is the SXM module. Some sheets state figures with sparsity, which are
// twice those given here.
struct Sheet {
  std::string_view name;
  Figures flops;
};
constexpr Sheet kSheets[] = {
    {"NVIDIA GB200", {2500e12, 80e12}},
    {"NVIDIA B200", {2250e12, 75e12}},
    {"NVIDIA GH200 480GB", {989.4e12, 67e12}},
    {"NVIDIA H200", {989.4e12, 67e12}},
    {"NVIDIA H200 NVL", {835.5e12, 60e12}},
    {"NVIDIA H100 80GB HBM3", {989.4e12, 67e12}},
    {"NVIDIA H100 NVL", {835.5e12, 60e12}},
    {"NVIDIA H100 PCIe", {756.5e12, 51e12}},
    {"NVIDIA H800", {989.4e12, 67e12}},
    {"NVIDIA H20", {148e12, 44e12}},
    {"NVIDIA A100-SXM4-40GB", {312e12, 19.5e12}},
    {"NVIDIA A100-SXM4-80GB", {312e12, 19.5e12}},
    {"NVIDIA A100-PCIE-40GB", {312e12, 19.5e12}},
    {"NVIDIA A100 80GB PCIe", {312e12, 19.5e12}},
    {"NVIDIA A800-SXM4-80GB", {312e12, 19.5e12}},
    {"NVIDIA A30", {165e12, 10.3e12}},
    {"NVIDIA A40", {149.7e12, 37.4e12}},
    {"NVIDIA A10", {125e12, 31.2e12}},
    {"NVIDIA L40S", {362.05e12, 91.6e12}},
    {"NVIDIA L40", {181.05e12, 90.5e12}},
    {"NVIDIA L4", {121e12, 30.3e12}},
    {"NVIDIA RTX 6000 Ada Generation", {364.2e12, 91.1e12}},
    {"NVIDIA RTX A6000", {154.8e12, 38.7e12}},
    {"NVIDIA GeForce RTX 5090", {209.5e12, 104.8e12}},
    {"NVIDIA GeForce RTX 5080", {112.6e12, 56.3e12}},
    {"NVIDIA GeForce RTX 4090", {165.2e12, 82.6e12}},
    {"NVIDIA GeForce RTX 4080", {97.5e12, 48.7e12}},
    {"NVIDIA GeForce RTX 3090", {71e12, 35.6e12}},
};

// FLOPs that one multiprocessor executes in one clock, from the CUDA C++ programming guide, "Arithmetic
// instructions", and for tensor cores from the white papers. With capability 8.6, 8.9 and 12.0 tensor cores
// differ from product to product.
struct Capability {
  int major, minor;
  Figures per_clock;
};
constexpr Capability kCapabilities[] = {{8, 0, {2048, 128}}, {8, 6, {0, 256}},     {8, 9, {0, 256}},
                                        {9, 0, {4096, 256}}, {10, 0, {8192, 256}}, {12, 0, {0, 256}}};

}  // namespace

DevicePeak peak_of_gpu(const cuda::DeviceDescription& gpu, DType dtype) {
  HW_CHECK(dtype == DType::bf16 || dtype == DType::f32, "the peak of a GPU in {}", name_of(dtype));
  for (const Sheet& sheet : kSheets)
    if (sheet.name == gpu.name) return {sheet.flops.of(dtype), fmt::format("data sheet of {}", gpu.name)};
  for (const Capability& c : kCapabilities)
    if (c.major == gpu.major && c.minor == gpu.minor && c.per_clock.of(dtype) > 0.0)
      return {gpu.multiprocessors * gpu.hertz * c.per_clock.of(dtype),
              fmt::format("{}, {} multiprocessors x {:.0f} MHz at most x {} FLOPs a clock", gpu.name,
                          gpu.multiprocessors, gpu.hertz / 1e6, c.per_clock.of(dtype))};
  return {std::nullopt, fmt::format("no {} peak is known of {}, compute capability {}.{}", name_of(dtype),
                                    gpu.name, gpu.major, gpu.minor)};
}

}  // namespace headwater
