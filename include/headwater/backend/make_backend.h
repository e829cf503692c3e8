#pragma once
// The device of a rank, and its backend.

#include "headwater/backend/backend.h"
#include "headwater/backend/matmul_algorithms.h"
#include "headwater/tensor/device_peak.h"

#include <string>

namespace headwater {

bool built_with_cuda();

// Sets what CUDA and NCCL read in the environment, unless the person has set it: as many queues between the
// host and a GPU as there can be, since streams that share one (CUDA gives a process eight) hold each other
// up; and all connections for collectives when a communicator is made, since hosts wait for each other in
// them. Where there are several ranks, all kernels are loaded when the device is opened: to load one at its
// first launch CUDA may wait until the device is idle, which a receive that waits for its peer keeps from
// coming. To be called before any other thread is started, and any call of CUDA made.
void prepare_devices(int ranks);
// How many queues were asked for, by whomever; 0: nothing was.
int device_queues();
inline constexpr int kDeviceQueues = 32;

// `asked` is training.device: "cpu"; "cuda", the GPU of the rank that is number `local_rank` on its host
// (UserError where this build has no CUDA, SystemError where the host has no GPU); or "auto", a GPU where
// there is one.
Device device_for(const std::string& asked, int local_rank);

struct DeviceIdentity {
  std::string name;    // "NVIDIA H100 80GB HBM3"
  std::string bus_id;  // of a GPU, "0000:1b:00.0": which of its host's it is, whatever number it goes by here
};
DeviceIdentity identity_of(Device device);

struct BackendOptions {
  Device device;
  int threads = 1;               // of the CPU backend
  std::string owner = "rank 0";  // for errors
  // The options of the CUDA backend alone (cuda_backend.h).
  bool deterministic = true;
  bool graphs = false;
  std::string matmul_algorithms = {};
  std::int64_t host_bytes = 0;
};

// Returns the peak of a device. That of the CPU is measured with oneDNN, once in a process. That of a GPU is
// stated by its data sheet, or computed from its multiprocessors and clock; where neither is known there is
// none (tensor/device_peak.h).
DevicePeak peak_of(Device device, DType dtype, int threads);

// Returns the version of the library that makes a GPU's products, since their last bits depend on it; 0 on
// the CPU.
std::int64_t matmul_library_version(Device device);

// Made and used by one thread.
std::unique_ptr<Backend> make_backend(const BackendOptions& options);

// On a GPU: of every product that the backend has made so far the fastest of the algorithms that cuBLASLt
// proposes, timed on the memory that it was last made on, which is written over.
MatmulAlgorithms fastest_matmuls(Backend& backend);

}  // namespace headwater
