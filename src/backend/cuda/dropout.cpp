#include "dropout.h"

namespace headwater::cuda {

kernels::DropoutMask mask_of(const Dropout& dropout) {
  if (!dropout.on()) return {};
  return {data_of<const std::int32_t>(dropout.keys), dropout.site, dropout.threshold() << 16U,
          static_cast<float>(dropout.scale())};
}

kernels::RowDropout mask_of_rows(const Dropout& dropout, std::int64_t rows) {
  if (!dropout.on()) return {};
  return {mask_of(dropout), dropout.tokens_per_sample(rows), dropout.first_row};
}

}  // namespace headwater::cuda
