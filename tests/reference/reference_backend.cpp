#include "tests/reference/reference_backend.h"

#include "tests/reference/elements.h"

#include <cmath>
#include <cstring>

namespace headwater {

using reference::after_dropout;
using reference::at;
using reference::integer;
using Index = std::int64_t;

void ReferenceBackend::zero(TensorView x) {
  for (Index r = 0; r < x.rows(); ++r)
    std::memset(
        static_cast<std::byte*>(x.data) + static_cast<std::size_t>(r * x.row_stride) * size_of(x.dtype), 0,
        static_cast<std::size_t>(x.columns()) * size_of(x.dtype));
}

void ReferenceBackend::copy(TensorView from, TensorView to) {
  HW_CHECK(from.shape == to.shape, "{} to {}", to_string(from.shape), to_string(to.shape));
  for (Index r = 0; r < from.rows(); ++r)
    for (Index c = 0; c < from.columns(); ++c) reference::write(to, r, c, reference::read(from, r, c));
}

void ReferenceBackend::add(TensorView x, TensorView y) {
  HW_CHECK(x.shape == y.shape, "{} to {}", to_string(x.shape), to_string(y.shape));
  for (Index r = 0; r < x.rows(); ++r)
    for (Index c = 0; c < x.columns(); ++c)
      reference::write(y, r, c, reference::read(y, r, c) + reference::read(x, r, c));
}

void ReferenceBackend::to_device(TensorView host, TensorView device) {
  HW_CHECK(host.dtype == device.dtype && host.shape == device.shape && host.dense() && device.dense(),
           "{} to {}", to_string(host.shape), to_string(device.shape));
  // the vocabulary may leave a shard empty
  if (host.bytes() > 0) std::memcpy(device.data, host.data, host.bytes());
}

void ReferenceBackend::to_host(TensorView device, TensorView host) { to_device(device, host); }

void ReferenceBackend::linear(TensorView x, const Weight& w, TensorView y) {
  for (Index t = 0; t < y.rows(); ++t)
    for (Index n = 0; n < y.columns(); ++n) {
      double sum = 0.0;
      for (Index k = 0; k < x.columns(); ++k) sum += at(x, t, k) * at(w.canonical, n, k);
      at(y, t, n) = sum;
    }
}

void ReferenceBackend::linear_input_gradient(TensorView dy, const Weight& w, TensorView dx, bool accumulate) {
  for (Index t = 0; t < dx.rows(); ++t)
    for (Index k = 0; k < dx.columns(); ++k) {
      double sum = 0.0;
      for (Index n = 0; n < dy.columns(); ++n) sum += at(dy, t, n) * at(w.canonical, n, k);
      at(dx, t, k) = accumulate ? at(dx, t, k) + sum : sum;
    }
}

void ReferenceBackend::linear_weight_gradient(TensorView dy, TensorView x, TensorView dw) {
  for (Index n = 0; n < dw.rows(); ++n)
    for (Index k = 0; k < dw.columns(); ++k)
      for (Index t = 0; t < x.rows(); ++t) at(dw, n, k) += at(dy, t, n) * at(x, t, k);
}

void ReferenceBackend::embedding(TensorView tokens, TensorView table, Index first, TensorView out) {
  for (Index t = 0; t < out.rows(); ++t) {
    const Index row = integer(tokens, t) - first;
    for (Index c = 0; c < out.columns(); ++c)
      at(out, t, c) = row >= 0 && row < table.rows() ? at(table, row, c) : 0.0;
  }
}

void ReferenceBackend::embedding_backward(TensorView tokens, TensorView d_out, Index first,
                                          TensorView d_table) {
  for (Index t = 0; t < d_out.rows(); ++t) {
    const Index row = integer(tokens, t) - first;
    if (row < 0 || row >= d_table.rows()) continue;
    for (Index c = 0; c < d_out.columns(); ++c) at(d_table, row, c) += at(d_out, t, c);
  }
}

void ReferenceBackend::rms_norm(TensorView x, TensorView gain, double epsilon, TensorView y,
                                TensorView rstd) {
  for (Index t = 0; t < x.rows(); ++t) {
    double sum = 0.0;
    for (Index h = 0; h < x.columns(); ++h) sum += at(x, t, h) * at(x, t, h);
    const double r = 1.0 / std::sqrt(sum / static_cast<double>(x.columns()) + epsilon);
    for (Index h = 0; h < x.columns(); ++h) at(y, t, h) = at(gain, h) * at(x, t, h) * r;
    at(rstd, t) = r;
  }
}

void ReferenceBackend::rms_norm_backward(TensorView dy, TensorView x, TensorView gain, TensorView rstd,
                                         TensorView dx, bool accumulate, TensorView d_gain) {
  for (Index t = 0; t < x.rows(); ++t) {
    const double r = at(rstd, t);
    double mean = 0.0;
    for (Index h = 0; h < x.columns(); ++h) mean += at(dy, t, h) * at(gain, h) * at(x, t, h) * r;
    mean /= static_cast<double>(x.columns());
    for (Index h = 0; h < x.columns(); ++h) {
      const double n = at(x, t, h) * r;
      at(d_gain, h) += at(dy, t, h) * n;
      const double value = r * (at(dy, t, h) * at(gain, h) - n * mean);
      at(dx, t, h) = accumulate ? at(dx, t, h) + value : value;
    }
  }
}

void ReferenceBackend::residual_add(TensorView branch, TensorView x, const Dropout& dropout, TensorView out) {
  for (Index t = 0; t < x.rows(); ++t)
    for (Index h = 0; h < x.columns(); ++h)
      at(out, t, h) = at(x, t, h) + after_dropout(dropout, branch, t, h);
}

void ReferenceBackend::residual_rms_norm(TensorView branch, TensorView x, const Dropout& dropout,
                                         TensorView gain, double epsilon, TensorView out, TensorView y,
                                         TensorView rstd) {
  residual_add(branch, x, dropout, out);
  rms_norm(out, gain, epsilon, y, rstd);
}

void ReferenceBackend::dropout_backward(TensorView d_out, const Dropout& dropout, TensorView d_branch) {
  for (Index t = 0; t < d_out.rows(); ++t)
    for (Index h = 0; h < d_out.columns(); ++h) at(d_branch, t, h) = after_dropout(dropout, d_out, t, h);
}

void ReferenceBackend::rotary(TensorView x, TensorView position, TensorView table, bool inverse) {
  const Index heads = x.shape[1], head_dim = x.shape[2], pairs = table.columns() / 2;
  for (Index t = 0; t < x.rows(); ++t)
    for (Index head = 0; head < heads; ++head)
      for (Index i = 0; i < pairs; ++i) {
        const double cosine = at(table, integer(position, t), 2 * i);
        const double sine = (inverse ? -1.0 : 1.0) * at(table, integer(position, t), 2 * i + 1);
        double& a = at(x, t, head * head_dim + i);
        double& b = at(x, t, head * head_dim + i + pairs);
        const double turned_a = a * cosine - b * sine, turned_b = b * cosine + a * sine;
        a = turned_a;
        b = turned_b;
      }
}

void ReferenceBackend::swiglu(TensorView x, TensorView out) {
  const Index ffn = out.columns();
  for (Index t = 0; t < out.rows(); ++t)
    for (Index f = 0; f < ffn; ++f)
      at(out, t, f) = at(x, t, f) / (1.0 + std::exp(-at(x, t, f))) * at(x, t, ffn + f);
}

void ReferenceBackend::swiglu_backward(TensorView d_out, TensorView x, TensorView dx) {
  const Index ffn = d_out.columns();
  for (Index t = 0; t < d_out.rows(); ++t)
    for (Index f = 0; f < ffn; ++f) {
      const double gate = at(x, t, f), up = at(x, t, ffn + f), d = at(d_out, t, f);
      const double s = 1.0 / (1.0 + std::exp(-gate));
      at(dx, t, f) = d * up * (s + gate * s * (1.0 - s));
      at(dx, t, ffn + f) = d * gate * s;
    }
}

}  // namespace headwater
