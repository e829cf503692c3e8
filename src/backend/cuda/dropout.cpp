#include "dropout.h"

#include <algorithm>

namespace headwater::cuda {

kernels::DropoutMask mask_of(const Dropout& dropout, std::int64_t samples) {
  if (!dropout.on()) return {};
  check_vector(dropout.keys, DType::i32, 2 * samples, "dropout keys");
  return {data_of<const std::int32_t>(dropout.keys), dropout.site, dropout.threshold() << 16U,
          static_cast<float>(dropout.scale())};
}

kernels::RowDropout mask_of_rows(const Dropout& dropout, const TensorView& x) {
  if (!dropout.on()) return {};
  const std::int64_t samples = dropout.keys.rows();
  HW_CHECK(samples > 0 && (dropout.sequence > 0 || x.rows() % samples == 0), "{} rows of {} samples",
           x.rows(), samples);
  const std::int64_t sequence =
      dropout.sequence > 0 ? dropout.sequence : std::max<std::int64_t>(x.rows() / samples, 1);
  HW_CHECK(dropout.first_row + x.rows() <= samples * sequence, "rows {} + {} of {} samples of {}",
           dropout.first_row, x.rows(), samples, sequence);
  return {mask_of(dropout, samples), sequence, dropout.first_row};
}

}  // namespace headwater::cuda
