#include "tests/reference/elements.h"
#include "tests/reference/reference_backend.h"

namespace headwater {

using reference::at;
using reference::integer;
using Index = std::int64_t;

namespace {

bool taken(const Borders& borders, Index t) { return integer(borders.start, t) <= borders.offset + t - 1; }

}  // namespace

void ReferenceBackend::lfa_taps(TensorView products, const Borders& borders, Index samples, TensorView before,
                                TensorView bias, TensorView residual, TensorView out) {
  const Index columns = out.columns(), per_sample = out.rows() / samples;
  for (Index t = 0; t < out.rows(); ++t)
    for (Index n = 0; n < columns; ++n) {
      double value = at(products, t, columns + n);
      if (taken(borders, t)) {
        if (t % per_sample != 0) value += at(products, t - 1, n);
        if (t % per_sample == 0 && before) value += at(before, t / per_sample, n);
      }
      if (bias) value += at(bias, n);
      if (residual) value += at(residual, t, n);
      at(out, t, n) = value;
    }
}

void ReferenceBackend::lfa_taps_backward(TensorView d_out, const Borders& borders, Index samples,
                                         TensorView d_products, TensorView d_before, TensorView d_bias) {
  const Index columns = d_out.columns(), per_sample = d_out.rows() / samples;
  for (Index t = 0; t < d_out.rows(); ++t)
    for (Index n = 0; n < columns; ++n) {
      const bool next = (t + 1) % per_sample != 0 && taken(borders, t + 1);
      at(d_products, t, n) = next ? at(d_out, t + 1, n) : 0.0;
      at(d_products, t, columns + n) = at(d_out, t, n);
      if (d_before && t % per_sample == 0)
        at(d_before, t / per_sample, n) = taken(borders, t) ? at(d_out, t, n) : 0.0;
      if (d_bias) at(d_bias, n) += at(d_out, t, n);
    }
}

void ReferenceBackend::lfa_taps_rms_norm(TensorView products, const Borders& borders, Index samples,
                                         TensorView before, TensorView bias, TensorView residual,
                                         TensorView gain, double epsilon, TensorView z, TensorView y,
                                         TensorView rstd) {
  lfa_taps(products, borders, samples, before, bias, residual, z);
  rms_norm(z, gain, epsilon, y, rstd);
}

}  // namespace headwater
