// Devices and errors. As many devices as settings say, of which every host thread has one at a time.

#include "emulation/settings.h"
#include "memory.h"
#include "runtime.h"
#include "stream.h"

#include <cstdio>
#include <cstring>

namespace emulation {
namespace {

thread_local cudaError_t last_error = cudaSuccess;
thread_local int device = 0;

}  // namespace

cudaError_t failed(cudaError_t error) { return last_error = error; }
int current_device() { return device; }

}  // namespace emulation

using emulation::done;
using emulation::failed;

cudaError_t cudaGetLastError() {
  const cudaError_t error = cudaPeekAtLastError();
  emulation::last_error = cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError() {
  return emulation::faulty() ? cudaErrorLaunchFailure : emulation::last_error;
}

const char* cudaGetErrorName(cudaError_t error) {
#define EMULATION_NAME(name) \
  case name: return #name
  switch (error) {
    EMULATION_NAME(cudaSuccess);
    EMULATION_NAME(cudaErrorInvalidValue);
    EMULATION_NAME(cudaErrorMemoryAllocation);
    EMULATION_NAME(cudaErrorInvalidConfiguration);
    EMULATION_NAME(cudaErrorInsufficientDriver);
    EMULATION_NAME(cudaErrorInvalidDeviceFunction);
    EMULATION_NAME(cudaErrorNoDevice);
    EMULATION_NAME(cudaErrorInvalidDevice);
    EMULATION_NAME(cudaErrorNoKernelImageForDevice);
    EMULATION_NAME(cudaErrorInvalidResourceHandle);
    EMULATION_NAME(cudaErrorNotReady);
    EMULATION_NAME(cudaErrorIllegalAddress);
    EMULATION_NAME(cudaErrorLaunchOutOfResources);
    EMULATION_NAME(cudaErrorLaunchFailure);
    EMULATION_NAME(cudaErrorStreamCaptureUnsupported);
    EMULATION_NAME(cudaErrorStreamCaptureUnjoined);
  }
#undef EMULATION_NAME
  return "an unknown error";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorInvalidDeviceFunction: return "invalid device function";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorNoKernelImageForDevice: return "no kernel image is available for execution on the device";
    case cudaErrorInvalidResourceHandle: return "invalid resource handle";
    case cudaErrorNotReady: return "device not ready";
    case cudaErrorIllegalAddress: return "an illegal memory access was encountered";
    case cudaErrorLaunchOutOfResources: return "too many resources requested for launch";
    case cudaErrorLaunchFailure: return "unspecified launch failure";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureUnjoined: return "capturing stream has unjoined work";
  }
  return "unknown error";
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = emulation::settings().devices;
  return *count > 0 ? done() : failed(cudaErrorNoDevice);
}

cudaError_t cudaGetDevice(int* device) {
  *device = emulation::device;
  return done();
}

cudaError_t cudaSetDevice(int device) {
  if (emulation::settings().devices == 0) return failed(cudaErrorNoDevice);
  if (device < 0 || device >= emulation::settings().devices) return failed(cudaErrorInvalidDevice);
  emulation::device = device;
  return done();
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= emulation::settings().devices) return failed(cudaErrorInvalidDevice);
  *properties = {};
  std::snprintf(properties->name, sizeof(properties->name), "emulated GPU");
  properties->totalGlobalMem = emulation::settings().memory;
  properties->sharedMemPerBlock = 48 * 1024;
  properties->sharedMemPerBlockOptin = 163 * 1024;
  properties->sharedMemPerMultiprocessor = 164 * 1024;
  properties->major = 8, properties->minor = 0;
  properties->multiProcessorCount = emulation::kMultiprocessors;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  properties->l2CacheSize = 40 << 20;
  properties->pciBusID = device + 1;
  return done();
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp properties;
  const cudaError_t error = cudaGetDeviceProperties(&properties, device);
  if (error != cudaSuccess) return error;
  switch (attribute) {
    case cudaDevAttrClockRate: *value = 1410000; return done();
    case cudaDevAttrMultiProcessorCount: *value = properties.multiProcessorCount; return done();
    case cudaDevAttrComputeCapabilityMajor: *value = properties.major; return done();
    case cudaDevAttrComputeCapabilityMinor: *value = properties.minor; return done();
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(properties.sharedMemPerBlockOptin);
      return done();
  }
  return failed(cudaErrorInvalidValue);
}

cudaError_t cudaDeviceGetPCIBusId(char* id, int bytes, int device) {
  if (device < 0 || device >= emulation::settings().devices) return failed(cudaErrorInvalidDevice);
  std::snprintf(id, static_cast<std::size_t>(bytes), "0000:%02x:00.0",
                static_cast<unsigned>(device + 1) & 0xffU);
  return done();
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = emulation::settings().devices > 0 ? CUDART_VERSION : 0;
  return done();
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return done();
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = emulation::settings().memory;
  *free = *total - emulation::allocated_bytes(emulation::device);
  return done();
}

cudaError_t cudaDeviceSynchronize() {
  emulation::StreamLock lock;
  emulation::synchronize_device(emulation::device, lock);
  return done();
}
