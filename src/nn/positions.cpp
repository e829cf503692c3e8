#include "headwater/nn/positions.h"

#include <fmt/format.h>

#include <cmath>

namespace headwater {
namespace {

// Row p holds (cos, sin) of p · base^(−2i/D) for i < D/2.
void fill_rotary_table(TensorView host, double base) {
  const std::int64_t pairs = host.shape[1];
  for (std::int64_t p = 0; p < host.rows(); ++p)
    for (std::int64_t i = 0; i < pairs; ++i) {
      const double angle =
          static_cast<double>(p) * std::pow(base, -static_cast<double>(i) / static_cast<double>(pairs));
      const double turn[2] = {std::cos(angle), std::sin(angle)};
      for (std::int64_t k = 0; k < 2; ++k) {
        const std::int64_t at = (p * pairs + i) * 2 + k;
        if (host.dtype == DType::f64)
          host.as<double>()[at] = turn[k];
        else
          host.as<float>()[at] = static_cast<float>(turn[k]);
      }
    }
}

}  // namespace

RotaryPositions::RotaryPositions(UnitDescription& d, std::int64_t head_dim, double base,
                                 std::int64_t positions)
    : table_(d.constant({fmt::format("rotary table, base {}, {} channels", base, head_dim),
                         {positions, head_dim / 2, 2},
                         d.accumulate(),
                         [base](TensorView host) { fill_rotary_table(host, base); }})) {
  d.reads(BatchArray::position);
}

void RotaryPositions::forward(const BlockContext& context, TensorView queries_and_keys) const {
  context.backend.run(op::Rotary{
      .x = queries_and_keys, .position = context.batch.position, .table = context.constant(table_)});
}

void RotaryPositions::backward(const BlockContext& context, TensorView d_queries_and_keys) const {
  context.backend.run(op::Rotary{.x = d_queries_and_keys,
                                 .position = context.batch.position,
                                 .table = context.constant(table_),
                                 .inverse = true});
}

}  // namespace headwater
