#include "tests/reference/elements.h"
#include "tests/reference/reference_backend.h"

namespace headwater {

using reference::at;
using reference::integer;
using Index = std::int64_t;

namespace {

bool taken(const Borders& borders, Index t) { return integer(borders.start, t) <= borders.offset + t - 1; }

}  // namespace

void ReferenceBackend::compute(const op::LfaTaps& o) {
  const Index columns = o.out.columns(), per_sample = o.out.rows() / o.samples;
  for (Index t = 0; t < o.out.rows(); ++t)
    for (Index n = 0; n < columns; ++n) {
      double value = at(o.products, t, columns + n);
      if (taken(o.borders, t)) {
        if (t % per_sample != 0) value += at(o.products, t - 1, n);
        if (t % per_sample == 0 && o.before) value += at(o.before, t / per_sample, n);
      }
      if (o.bias) value += at(o.bias, n);
      if (o.residual) value += at(o.residual, t, n);
      at(o.out, t, n) = value;
    }
}

void ReferenceBackend::compute(const op::LfaTapsNorm& o) {
  compute(o.taps);
  compute(op::Norm{.x = o.taps.out, .norm = o.norm});
}

void ReferenceBackend::compute(const op::LfaTapsBackward& o) {
  const Index columns = o.d_out.columns(), per_sample = o.d_out.rows() / o.samples;
  for (Index t = 0; t < o.d_out.rows(); ++t)
    for (Index n = 0; n < columns; ++n) {
      const bool next = (t + 1) % per_sample != 0 && taken(o.borders, t + 1);
      at(o.d_products, t, n) = next ? at(o.d_out, t + 1, n) : 0.0;
      at(o.d_products, t, columns + n) = at(o.d_out, t, n);
      if (o.d_before && t % per_sample == 0)
        at(o.d_before, t / per_sample, n) = taken(o.borders, t) ? at(o.d_out, t, n) : 0.0;
      if (o.d_bias) at(o.d_bias, n) += at(o.d_out, t, n);
    }
}

}  // namespace headwater
