// The end of a step: norm, clipping, AdamW.

#include "cuda_catalogue.h"
#include "scalars.h"

namespace headwater::cuda {

void CudaBackend::enqueue(const op::AddSquaredNorm& o) {
  check_f32(o.x, "x");
  void* partials = scratch(kernels::squared_norm_bytes(o.x.elements()));
  kernels::add_squared_norm(data_of<const float>(o.x), data_of<double>(o.sum), partials, o.x.elements(),
                            stream_.get());
}

void CudaBackend::enqueue(const op::DecideStep& o) {
  kernels::decide_step(o.clip, step_scalars(o.scalars), stream_.get());
}

void CudaBackend::enqueue(const op::AdamW& o) {
  check_f32(o.master, "master");
  with_compute_type(o.weight.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::AdamW<T> update;
    update.master = data_of<float>(o.master);
    update.gradient = data_of<const float>(o.gradient);
    update.first_moment = data_of<float>(o.first_moment);
    update.second_moment = data_of<float>(o.second_moment);
    update.weight = data_of<T>(o.weight);
    update.n = o.master.elements();
    update.beta1 = o.beta1;
    update.beta2 = o.beta2;
    update.epsilon = o.epsilon;
    update.weight_decay = o.weight_decay;
    const StochasticRounding& r = o.rounding;
    update.rounding = {r.on, r.key, r.begin, r.first, r.columns, r.row};
    kernels::adamw(update, step_scalars(o.scalars), stream_.get());
  });
}

}  // namespace headwater::cuda
