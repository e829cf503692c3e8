#include "headwater/model/parameter_spec.h"

#include "headwater/base/error.h"

#include <algorithm>

namespace headwater {

ParameterShard parameter_shard(const ParameterSpec& spec, const Sharding& sharding, int tensor_rank) {
  const int dim = spec.split.dimension;
  if (dim < 0) return {whole(spec.shape).box, spec.shape};
  const std::int64_t size = spec.shape[dim], multiple = spec.split.pad_multiple * sharding.tensor;
  if (spec.split.pad_multiple > 1) {  // rows, padded behind the last
    const std::int64_t rows = (size + multiple - 1) / multiple * multiple / sharding.tensor;
    const std::int64_t begin = std::min(size, tensor_rank * rows);
    return {part(spec.shape, dim, begin, std::min(rows, size - begin)).box, spec.shape.with_first(rows)};
  }
  const std::int64_t parts = std::min(sharding.tensor, size / spec.split.unit);
  HW_CHECK(size % (parts * spec.split.unit) == 0 && sharding.tensor % parts == 0,
           "{} {} cannot be cut for {} tensor ranks", spec.name, to_string(spec.shape), sharding.tensor);
  const Box box =
      part(spec.shape, dim, tensor_rank * parts / sharding.tensor * (size / parts), size / parts).box;
  return {box, box.size};
}

}  // namespace headwater
