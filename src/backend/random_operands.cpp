#include "headwater/backend/random_operands.h"

#include "headwater/base/error.h"
#include "headwater/base/random.h"

#include <algorithm>

namespace headwater {
namespace {

// Whole blocks of random numbers; the other factor is prime, so that no row of a matrix that is filled with
// these words is equal to one near it, as where copies are whole rows.
constexpr std::size_t kBlock = 8, kWords = kBlock * 65521;

}  // namespace

std::vector<std::uint16_t> random_words(Signs signs) {
  const RandomKey key = derive(RandomKey{1}, "operands");
  std::vector<std::uint16_t> words(kWords);
  for (std::size_t i = 0; i < kWords; i += kBlock) {
    const auto block = philox(key, i / kBlock);
    for (std::size_t j = 0; j < kBlock; ++j) {
      const std::uint32_t random = block[j / 2] >> (16 * (j % 2));
      const std::uint32_t sign = signs == Signs::both ? random & 0x8000U : 0U;
      words[i + j] = static_cast<std::uint16_t>(sign | 0x3C00U | (random & 0x1FFU));
    }
  }
  return words;
}

void fill_again_and_again(Backend& backend, TensorView pattern, TensorView x) {
  HW_CHECK(x.dtype == pattern.dtype && x.dense() && pattern.dense(), "{} {} filled with {} {}",
           name_of(x.dtype), to_string(x.shape), name_of(pattern.dtype), to_string(pattern.shape));
  const std::int64_t count = x.elements(), length = pattern.elements();
  if (count == 0) return;
  const TensorView to = x.reshaped({count}), from = pattern.reshaped({length});
  std::int64_t filled = std::min(count, length);
  backend.to_device(from.rows(0, filled), to.rows(0, filled));
  while (filled < count) {  // what is there is doubled, so that copies are few and large
    const std::int64_t more = std::min(filled, count - filled);
    backend.run(op::Copy{.from = to.rows(0, more), .to = to.rows(filled, more)});
    filled += more;
  }
}

void fill_randomly(Backend& backend, TensorView x, Signs signs) {
  HW_CHECK(x.dtype == DType::bf16 || x.dtype == DType::f32, "random words in a tensor of {}",
           name_of(x.dtype));
  std::vector<std::uint16_t> words = random_words(signs);
  const auto size = static_cast<std::int64_t>(words.size() * sizeof words[0] / size_of(x.dtype));
  fill_again_and_again(backend, TensorView(words.data(), x.dtype, {size}), x);
}

}  // namespace headwater
