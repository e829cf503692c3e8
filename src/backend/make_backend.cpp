#include "headwater/backend/make_backend.h"

#include "headwater/backend/cpu_backend.h"
#ifdef HEADWATER_HAVE_CUDA
#include "headwater/tensor/cuda/devices.h"

#include "cuda_backend.h"
#endif

#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace headwater {
namespace {

// Measured once in a process: every run in it, and every rank that is a thread of it, has the same chip.
DevicePeak peak_of_cpu(DType dtype, int threads) {
  static std::mutex mutex;
  static std::map<std::pair<DType, int>, double> measured;
  const std::lock_guard lock(mutex);
  const auto [known, fresh] = measured.try_emplace({dtype, threads}, 0.0);
  if (fresh) known->second = measure_matmul_flops(dtype, threads);
  return {known->second, "measured with oneDNN"};
}

constexpr const char* kQueuesVariable = "CUDA_DEVICE_MAX_CONNECTIONS";

}  // namespace

int device_queues() {
  const char* asked = std::getenv(kQueuesVariable);
  return asked != nullptr ? std::atoi(asked) : 0;
}

void prepare_devices(int ranks) {
  if (!built_with_cuda()) return;
  ::setenv(kQueuesVariable, std::to_string(kDeviceQueues).c_str(), 0);
  ::setenv("NCCL_RUNTIME_CONNECT", "0", 0);
  if (ranks > 1) ::setenv("CUDA_MODULE_LOADING", "EAGER", 0);
}

#if defined(HEADWATER_HAVE_CUDA)

bool built_with_cuda() { return true; }

Device device_for(const std::string& asked, int local_rank) {
  const bool wanted = asked == "cuda" || (asked == "auto" && cuda::device_count() > 0);
  return wanted ? cuda::device_of_rank(local_rank) : Device{};
}

DeviceIdentity identity_of(Device device) {
  if (device.kind == Device::Kind::cpu) return {"the CPU", {}};
  const cuda::DeviceDescription description = cuda::describe(device);
  return {description.name, description.bus_id};
}

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  if (options.device.kind == Device::Kind::cuda)
    return make_cuda_backend({options.device, options.owner, options.deterministic, options.graphs,
                              options.matmul_algorithms, options.host_bytes});
  return make_cpu_backend({options.threads, false});
}

std::int64_t matmul_library_version(Device device) {
  return device.kind == Device::Kind::cuda ? cublaslt_version() : 0;
}

MatmulAlgorithms fastest_matmuls(Backend& backend) { return fastest_cuda_matmuls(backend); }

DevicePeak peak_of(Device device, DType dtype, int threads) {
  if (device.kind == Device::Kind::cpu) return peak_of_cpu(dtype, threads);
  return peak_of_gpu(cuda::describe(device), dtype);
}

#else

bool built_with_cuda() { return false; }

Device device_for(const std::string& asked, int) {
  if (asked == "cuda")
    throw UserError(
        "training.device is \"cuda\", but this program was built without CUDA (scripts/build.sh cuda builds "
        "one with it); auto or cpu is possible");
  return {};
}

DeviceIdentity identity_of(Device) { return {"the CPU", {}}; }

std::unique_ptr<Backend> make_backend(const BackendOptions& options) {
  HW_CHECK(options.device == Device{}, "no backend for {}", name_of(options.device));
  return make_cpu_backend({options.threads, false});
}

std::int64_t matmul_library_version(Device) { return 0; }

MatmulAlgorithms fastest_matmuls(Backend& backend) {
  throw InternalError("matrix products of {} against the clock: this build knows only the device cpu",
                      name_of(backend.device()));
}

DevicePeak peak_of(Device, DType dtype, int threads) { return peak_of_cpu(dtype, threads); }

#endif

}  // namespace headwater
