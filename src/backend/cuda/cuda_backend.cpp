// Construction, workspace and the memory ops.

#include "headwater/base/log.h"
#include "headwater/tensor/cuda/check.h"
#include "headwater/tensor/profile_range.h"

#include "cuda_catalogue.h"
#include "operands.h"

#include <algorithm>

namespace headwater {
namespace cuda {
namespace {

// Pinned memory. The least is for weights on their way. The most holds the micro-batches of twelve million
// tokens: no host needs to run farther ahead of its GPU.
constexpr std::int64_t kLeastStaging = 4 << 20, kMostStaging = 256 << 20;

std::size_t row_bytes(const TensorView& x) {
  return static_cast<std::size_t>(x.columns()) * size_of(x.dtype);
}
std::size_t stride_bytes(const TensorView& x) {
  return static_cast<std::size_t>(x.row_stride) * size_of(x.dtype);
}

void check_same_dense(const TensorView& from, const TensorView& to) {
  HW_CHECK(from.dtype == to.dtype && from.shape == to.shape && from.dense() && to.dense(),
           "{} {} copied to {} {}", name_of(from.dtype), to_string(from.shape), name_of(to.dtype),
           to_string(to.shape));
}

}  // namespace

CudaBackend::CudaBackend(const CudaOptions& options)
    : stream_(options.device, options.owner, "compute"),
      deterministic_(options.deterministic),
      graphs_(options.graphs),
      staging_(stream_, std::clamp(options.host_bytes, kLeastStaging, kMostStaging)),
      products_(stream_, options.matmul_algorithms) {}

void CudaBackend::use_workspace(TensorView bytes) {
  workspace_ = bytes;
  products_.use_workspace(bytes.data, bytes.bytes());
  repeated_.clear();
}

// The first time as it is: kernels are loaded then, and cuBLASLt asked for its algorithms, neither of which a
// capture allows.
void CudaBackend::repeat(std::uint64_t key, const std::function<void()>& work) {
  if (!graphs_) return work();
  const auto [found, is_new] = repeated_.try_emplace(key);
  if (is_new) return work();
  std::optional<Graph>& graph = found->second;
  if (!graph) {
    graph.emplace(stream_, work);
    log::debug("{}: graph {} captured", stream_.name(), key);
  }
  const ProfileRange range("graph {}", key);
  graph->launch();
}

void* CudaBackend::scratch(std::int64_t bytes) const {
  const auto size = static_cast<std::int64_t>(workspace_ ? workspace_.bytes() : 0);
  HW_CHECK(bytes <= size, "an op needs {} bytes of workspace, but {} are set aside", bytes, size);
  return workspace_.data;
}

void CudaBackend::launched(const char* op) const {
  const cudaError_t error = cudaGetLastError();
  if (error == cudaSuccess) [[likely]]
    return;
  const std::string refused = kernels::take_refused_launch();
  check(error, stream_.name(), (refused.empty() ? op : fmt::format("{} ({})", op, refused)).c_str(), __FILE__,
        __LINE__);
}

#define HEADWATER_COMPUTE(Op)                   \
  void CudaBackend::compute(const op::Op& op) { \
    enqueue(op);                                \
    launched(op::Op::kName);                    \
  }
HEADWATER_OPS(HEADWATER_COMPUTE)
#undef HEADWATER_COMPUTE

void CudaBackend::enqueue(const op::Zero& o) {
  const TensorView& x = o.x;
  if (x.elements() == 0) return;
  if (x.dense())
    HW_CUDA(stream_.name(), cudaMemsetAsync(x.data, 0, x.bytes(), stream_.get()));
  else
    HW_CUDA(stream_.name(), cudaMemset2DAsync(x.data, stride_bytes(x), 0, row_bytes(x),
                                              static_cast<std::size_t>(x.rows()), stream_.get()));
}

void CudaBackend::enqueue(const op::Copy& o) {
  const TensorView &from = o.from, &to = o.to;
  if (from.elements() == 0) return;
  if (from.dtype == to.dtype) {
    if (from.dense() && to.dense())  // of any size: a row of the other call is shorter than 2 GiB
      HW_CUDA(stream_.name(),
              cudaMemcpyAsync(to.data, from.data, from.bytes(), cudaMemcpyDeviceToDevice, stream_.get()));
    else
      HW_CUDA(stream_.name(), cudaMemcpy2DAsync(to.data, stride_bytes(to), from.data, stride_bytes(from),
                                                row_bytes(from), static_cast<std::size_t>(from.rows()),
                                                cudaMemcpyDeviceToDevice, stream_.get()));
    return;
  }
  with_float_type(from.dtype, [&](auto source) {
    with_float_type(to.dtype, [&](auto target) {
      kernels::copy(rows_of<const decltype(source)>(from), rows_of<decltype(target)>(to), from.rows(),
                    from.columns(), stream_.get());
    });
  });
}

void CudaBackend::enqueue(const op::Add& o) {
  with_float_type(o.x.dtype, [&](auto source) {
    with_float_type(o.y.dtype, [&](auto target) {
      kernels::add(rows_of<const decltype(source)>(o.x), rows_of<decltype(target)>(o.y), o.x.rows(),
                   o.x.columns(), stream_.get());
    });
  });
}

void CudaBackend::to_device(TensorView host, TensorView device) {
  check_same_dense(host, device);
  staging_.to_device({static_cast<const std::byte*>(host.data), host.bytes()}, device.data);
}

void CudaBackend::to_host(TensorView device, TensorView host) {
  check_same_dense(device, host);
  if (host.bytes() > 0)
    HW_CUDA(stream_.name(),
            cudaMemcpyAsync(host.data, device.data, host.bytes(), cudaMemcpyDeviceToHost, stream_.get()));
  stream_.synchronize();
}

}  // namespace cuda

std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options) {
  return std::make_unique<cuda::CudaBackend>(options);
}

MatmulAlgorithms fastest_cuda_matmuls(Backend& backend) {
  auto* const cuda = dynamic_cast<cuda::CudaBackend*>(&backend);
  HW_CHECK(cuda != nullptr, "matrix products of {} against the clock", name_of(backend.device()));
  return cuda->fastest_matmuls();
}

}  // namespace headwater
