// The end of a step: norm, clipping, AdamW.

#include "cuda_catalogue.h"
#include "scalars.h"

namespace headwater::cuda {

void CudaBackend::add_squared_norm(TensorView x, TensorView sum) {
  check_vector(x, DType::f32, x.elements(), "x");
  check_vector(sum, DType::f64, 1, "sum");
  void* partials = scratch(kernels::squared_norm_bytes(x.elements()));
  kernels::add_squared_norm(data_of<const float>(x), data_of<double>(sum), partials, x.elements(),
                            stream_.get());
  launched("add_squared_norm");
}

void CudaBackend::decide_step(double clip, TensorView scalars) {
  kernels::decide_step(clip, step_scalars(scalars), stream_.get());
  launched("decide_step");
}

void CudaBackend::adamw(const AdamWArgs& args, TensorView scalars) {
  const std::int64_t count = args.master.elements();
  check_vector(args.master, DType::f32, count, "master");
  check_vector(args.gradient, DType::f32, count, "gradient");
  check_vector(args.first_moment, DType::f32, count, "first moment");
  check_vector(args.second_moment, DType::f32, count, "second moment");
  check_vector(args.weight, args.weight.dtype, count, "weight");
  with_compute_type(args.weight.dtype, [&](auto type) {
    using T = decltype(type);
    kernels::AdamW<T> update;
    update.master = data_of<float>(args.master);
    update.gradient = data_of<const float>(args.gradient);
    update.first_moment = data_of<float>(args.first_moment);
    update.second_moment = data_of<float>(args.second_moment);
    update.weight = data_of<T>(args.weight);
    update.n = count;
    update.beta1 = args.beta1;
    update.beta2 = args.beta2;
    update.epsilon = args.epsilon;
    update.weight_decay = args.weight_decay;
    const StochasticRounding& r = args.rounding;
    update.rounding = {r.on, r.key, r.begin, r.first, r.columns, r.row};
    kernels::adamw(update, step_scalars(scalars), stream_.get());
  });
  launched("adamw");
}

}  // namespace headwater::cuda
