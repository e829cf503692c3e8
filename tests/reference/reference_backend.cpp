#include "tests/reference/reference_backend.h"

#include "tests/reference/elements.h"

#include <cmath>
#include <cstring>

namespace headwater {

using reference::after_dropout;
using reference::at;
using reference::integer;
using Index = std::int64_t;

void ReferenceBackend::compute(const op::Zero& o) {
  for (Index r = 0; r < o.x.rows(); ++r)
    std::memset(
        static_cast<std::byte*>(o.x.data) + static_cast<std::size_t>(r * o.x.row_stride) * size_of(o.x.dtype),
        0, static_cast<std::size_t>(o.x.columns()) * size_of(o.x.dtype));
}

void ReferenceBackend::compute(const op::Copy& o) {
  for (Index r = 0; r < o.from.rows(); ++r)
    for (Index c = 0; c < o.from.columns(); ++c) reference::write(o.to, r, c, reference::read(o.from, r, c));
}

void ReferenceBackend::compute(const op::Add& o) {
  for (Index r = 0; r < o.x.rows(); ++r)
    for (Index c = 0; c < o.x.columns(); ++c)
      reference::write(o.y, r, c, reference::read(o.y, r, c) + reference::read(o.x, r, c));
}

void ReferenceBackend::to_device(TensorView host, TensorView device) {
  HW_CHECK(host.dtype == device.dtype && host.shape == device.shape && host.dense() && device.dense(),
           "{} to {}", to_string(host.shape), to_string(device.shape));
  // the vocabulary may leave a shard empty
  if (host.bytes() > 0) std::memcpy(device.data, host.data, host.bytes());
}

void ReferenceBackend::to_host(TensorView device, TensorView host) { to_device(device, host); }

void ReferenceBackend::compute(const op::Linear& o) {
  for (Index t = 0; t < o.y.rows(); ++t)
    for (Index n = 0; n < o.y.columns(); ++n) {
      double sum = 0.0;
      for (Index k = 0; k < o.x.columns(); ++k) sum += at(o.x, t, k) * at(o.w, n, k);
      at(o.y, t, n) = sum;
    }
}

void ReferenceBackend::compute(const op::LinearInputGradient& o) {
  for (Index t = 0; t < o.dx.rows(); ++t)
    for (Index k = 0; k < o.dx.columns(); ++k) {
      double sum = 0.0;
      for (Index n = 0; n < o.dy.columns(); ++n) sum += at(o.dy, t, n) * at(o.w, n, k);
      at(o.dx, t, k) = o.accumulate ? at(o.dx, t, k) + sum : sum;
    }
}

void ReferenceBackend::compute(const op::LinearWeightGradient& o) {
  for (Index n = 0; n < o.dw.rows(); ++n)
    for (Index k = 0; k < o.dw.columns(); ++k)
      for (Index t = 0; t < o.x.rows(); ++t) at(o.dw, n, k) += at(o.dy, t, n) * at(o.x, t, k);
}

void ReferenceBackend::compute(const op::Embedding& o) {
  for (Index t = 0; t < o.out.rows(); ++t) {
    const Index row = integer(o.tokens, t) - o.first;
    for (Index c = 0; c < o.out.columns(); ++c)
      at(o.out, t, c) = row >= 0 && row < o.table.rows() ? at(o.table, row, c) : 0.0;
  }
}

void ReferenceBackend::compute(const op::EmbeddingBackward& o) {
  for (Index t = 0; t < o.d_out.rows(); ++t) {
    const Index row = integer(o.tokens, t) - o.first;
    if (row < 0 || row >= o.d_table.rows()) continue;
    for (Index c = 0; c < o.d_out.columns(); ++c) at(o.d_table, row, c) += at(o.d_out, t, c);
  }
}

void ReferenceBackend::compute(const op::Norm& o) {
  const auto columns = static_cast<double>(o.x.columns());
  for (Index t = 0; t < o.x.rows(); ++t) {
    double mean = 0.0, squares = 0.0;
    if (o.norm.mean) {
      for (Index h = 0; h < o.x.columns(); ++h) mean += at(o.x, t, h) / columns;
      at(o.norm.mean, t) = mean;
    }
    for (Index h = 0; h < o.x.columns(); ++h) squares += std::pow(at(o.x, t, h) - mean, 2);
    const double r = 1.0 / std::sqrt(squares / columns + o.norm.epsilon);
    for (Index h = 0; h < o.x.columns(); ++h)
      at(o.norm.y, t, h) =
          at(o.norm.gain, h) * (at(o.x, t, h) - mean) * r + (o.norm.bias ? at(o.norm.bias, h) : 0.0);
    at(o.norm.rstd, t) = r;
  }
}

void ReferenceBackend::compute(const op::NormBackward& o) {
  const auto columns = static_cast<double>(o.x.columns());
  for (Index t = 0; t < o.x.rows(); ++t) {
    const double r = at(o.norm.rstd, t), mean = o.norm.mean ? at(o.norm.mean, t) : 0.0;
    double mean_d = 0.0, mean_dn = 0.0;  // of d = dy ⊙ gain, where the norm takes a mean off, and of d ⊙ n
    for (Index h = 0; h < o.x.columns(); ++h) {
      const double d = at(o.dy, t, h) * at(o.norm.gain, h);
      if (o.norm.mean) mean_d += d / columns;
      mean_dn += d * (at(o.x, t, h) - mean) * r / columns;
    }
    for (Index h = 0; h < o.x.columns(); ++h) {
      const double n = (at(o.x, t, h) - mean) * r;
      if (o.norm.d_gain) at(o.norm.d_gain, h) += at(o.dy, t, h) * n;
      if (o.norm.d_bias) at(o.norm.d_bias, h) += at(o.dy, t, h);
      const double value = r * (at(o.dy, t, h) * at(o.norm.gain, h) - mean_d - n * mean_dn);
      at(o.dx, t, h) = o.addend ? at(o.addend, t, h) + value : value;
    }
  }
}

void ReferenceBackend::compute(const op::ResidualAdd& o) {
  for (Index t = 0; t < o.x.rows(); ++t)
    for (Index h = 0; h < o.x.columns(); ++h)
      at(o.out, t, h) = at(o.x, t, h) + after_dropout(o.dropout, o.branch, t, h);
}

void ReferenceBackend::compute(const op::ResidualNorm& o) {
  compute(o.sum);
  compute(op::Norm{.x = o.sum.out, .norm = o.norm});
}

void ReferenceBackend::compute(const op::DropoutBackward& o) {
  for (Index t = 0; t < o.d_out.rows(); ++t)
    for (Index h = 0; h < o.d_out.columns(); ++h)
      at(o.d_branch, t, h) = after_dropout(o.dropout, o.d_out, t, h);
}

void ReferenceBackend::compute(const op::Rotary& o) {
  const Index heads = o.x.shape[1], head_dim = o.x.shape[2], pairs = o.table.columns() / 2;
  for (Index t = 0; t < o.x.rows(); ++t)
    for (Index head = 0; head < heads; ++head)
      for (Index i = 0; i < pairs; ++i) {
        const double cosine = at(o.table, integer(o.position, t), 2 * i);
        const double sine = (o.inverse ? -1.0 : 1.0) * at(o.table, integer(o.position, t), 2 * i + 1);
        double& a = at(o.x, t, head * head_dim + i);
        double& b = at(o.x, t, head * head_dim + i + pairs);
        const double turned_a = a * cosine - b * sine, turned_b = b * cosine + a * sine;
        a = turned_a;
        b = turned_b;
      }
}

void ReferenceBackend::compute(const op::Swiglu& o) {
  const Index ffn = o.out.columns();
  for (Index t = 0; t < o.out.rows(); ++t)
    for (Index f = 0; f < ffn; ++f)
      at(o.out, t, f) = at(o.x, t, f) / (1.0 + std::exp(-at(o.x, t, f))) * at(o.x, t, ffn + f);
}

void ReferenceBackend::compute(const op::SwigluBackward& o) {
  const Index ffn = o.d_out.columns();
  for (Index t = 0; t < o.d_out.rows(); ++t)
    for (Index f = 0; f < ffn; ++f) {
      const double gate = at(o.x, t, f), up = at(o.x, t, ffn + f), d = at(o.d_out, t, f);
      const double s = 1.0 / (1.0 + std::exp(-gate));
      at(o.dx, t, f) = d * up * (s + gate * s * (1.0 - s));
      at(o.dx, t, ffn + f) = d * gate * s;
    }
}

namespace {

// f and its slope at x, by the formulas.
std::pair<double, double> activation_at(op::ActivationFunction function, double x) {
  const double pi = std::acos(-1.0);
  switch (function) {
    case op::ActivationFunction::relu: return {std::max(x, 0.0), x > 0.0 ? 1.0 : 0.0};
    case op::ActivationFunction::gelu: {
      const double normal = 0.5 * (1.0 + std::erf(x / std::sqrt(2.0)));
      return {x * normal, normal + x * std::exp(-0.5 * x * x) / std::sqrt(2.0 * pi)};
    }
    case op::ActivationFunction::gelu_tanh: {
      const double scale = std::sqrt(2.0 / pi), t = std::tanh(scale * (x + 0.044715 * x * x * x));
      return {0.5 * x * (1.0 + t),
              0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * scale * (1.0 + 3.0 * 0.044715 * x * x)};
    }
  }
  return {};
}

}  // namespace

void ReferenceBackend::compute(const op::Activation& o) {
  for (Index t = 0; t < o.out.rows(); ++t)
    for (Index f = 0; f < o.out.columns(); ++f)
      at(o.out, t, f) = activation_at(o.function, at(o.x, t, f)).first;
}

void ReferenceBackend::compute(const op::ActivationBackward& o) {
  for (Index t = 0; t < o.d_out.rows(); ++t)
    for (Index f = 0; f < o.d_out.columns(); ++f)
      at(o.dx, t, f) = at(o.d_out, t, f) * activation_at(o.function, at(o.x, t, f)).second;
}

}  // namespace headwater
