#pragma once
// RMSNorm and LayerNorm of a row that a warp or a block makes (RowShare), shared by the norms and by the
// kernels that end in one.

#include "rows.cuh"

namespace headwater::kernels {

// The chunks of a row that a thread keeps. `source` says how the row is made, as it is in memory of type T:
//   fetch(column)         asks for what a chunk is made of;
//   make(raw, column)     makes it of that;
//   keep(column, chunk)   takes it; called once for each chunk, after all of a batch have been fetched;
//   again(column)         a chunk that was kept, once more: of a row that does not fit registers.
template <class T, int kN, class Source>
class HeldRow {
 public:
  __device__ __forceinline__ HeldRow(const Source& source, std::int64_t columns)
      : source_(source), part_(columns) {}

  // Calls use(v) for each chunk as it is made.
  template <class Use>
  __device__ __forceinline__ void make(const Use& use) {
    constexpr int kBatch = RowPart<kN>::kBatch;
#pragma unroll
    for (int begin = 0; begin < kHeld; begin += kBatch) {
      if (!part_.has_batch(begin)) break;
      decltype(source_.fetch(0)) raw[kBatch];
#pragma unroll
      for (int h = 0; h < kBatch; ++h) raw[h] = source_.fetch(part_.column(begin + h));
#pragma unroll
      for (int h = 0; h < kBatch; ++h) {
        held_[begin + h] = source_.make(raw[h], part_.column(begin + h));
        if (!part_.has(begin + h)) continue;
        source_.keep(part_.column(begin + h), held_[begin + h]);
        use_chunk(held_[begin + h], use);
      }
    }
    part_.beyond([&](std::uint32_t column) {
      const Chunk<T, kN> chunk = source_.make(source_.fetch(column), column);
      source_.keep(column, chunk);
      use_chunk(chunk, use);
    });
  }

  // Calls use(v) for each chunk.
  template <class Use>
  __device__ __forceinline__ void again(const Use& use) const {
#pragma unroll
    for (int h = 0; h < kHeld; ++h)
      if (part_.has(h)) use_chunk(held_[h], use);
    part_.beyond([&](std::uint32_t column) { use_chunk(source_.again(column), use); });
  }

  // y = change(v, with the chunks of gain and bias that belong to it); without a bias that is the gain's.
  template <class Change>
  __device__ __forceinline__ void write(T* y, const T* gain, const T* bias, const Change& change) const {
    constexpr int kBatch = RowPart<kN>::kBatch;
    const auto write_chunk = [&](std::uint32_t column, Chunk<T, kN> chunk, Chunk<T, kN> of_gain,
                                 Chunk<T, kN> of_bias) {
      float v[kN], g[kN], b[kN];
      chunk.unpack(v), of_gain.unpack(g), of_bias.unpack(b);
      for (int i = 0; i < kN; ++i) v[i] = change(v[i], g[i], b[i]);
      Chunk<T, kN>::pack(v).store(y + column);
    };
    const auto bias_at = [&](std::uint32_t column, Chunk<T, kN> of_gain) {
      return bias == nullptr ? of_gain : Chunk<T, kN>::load(bias + column);
    };
#pragma unroll
    for (int begin = 0; begin < kHeld; begin += kBatch) {
      if (!part_.has_batch(begin)) break;
      Chunk<T, kN> g[kBatch], b[kBatch];
#pragma unroll
      for (int h = 0; h < kBatch; ++h) {
        g[h] = Chunk<T, kN>::load(gain + part_.column(begin + h));
        b[h] = bias_at(part_.column(begin + h), g[h]);
      }
#pragma unroll
      for (int h = 0; h < kBatch; ++h)
        if (part_.has(begin + h)) write_chunk(part_.column(begin + h), held_[begin + h], g[h], b[h]);
    }
    part_.beyond([&](std::uint32_t column) {
      const auto g = Chunk<T, kN>::load(gain + column);
      write_chunk(column, source_.again(column), g, bias_at(column, g));
    });
  }

 private:
  template <class Use>
  __device__ __forceinline__ static void use_chunk(const Chunk<T, kN>& chunk, const Use& use) {
    float v[kN];
    chunk.unpack(v);
    use(v);
  }

  const Source& source_;
  RowPart<kN> part_;
  Chunk<T, kN> held_[kHeld];
};

// y = g ⊙ v·r for the row v that `source` makes; r = 1/√(mean(v²) + ε) is returned to every thread.
template <class T, int kN, class Source>
__device__ __forceinline__ float rms_norm_row(const Source& source, std::int64_t columns, float epsilon,
                                              const T* gain, T* y) {
  SHARED_ARRAY(float, partial, [kRowThreads / kWarp]);
  HeldRow<T, kN, Source> row(source, columns);
  float squares = 0.0F;
  row.make([&](const float(&v)[kN]) {
    for (int i = 0; i < kN; ++i) squares += v[i] * v[i];
  });
  const float r = rsqrtf(row_sum(squares, partial) / static_cast<float>(columns) + epsilon);
  row.write(y, gain, nullptr, [r](float v, float g, float) { return g * (v * r); });
  return r;
}

// y = g ⊙ n + b, n = (v − m)·r, m = mean(v), r = 1/√(mean((v − m)²) + ε): the variance is taken around the
// mean, so that a row far from zero keeps its digits. {m, r} is returned to every thread.
template <class T, int kN, class Source>
__device__ __forceinline__ float2 layer_norm_row(const Source& source, std::int64_t columns, float epsilon,
                                                 const T* gain, const T* bias, T* y) {
  SHARED_ARRAY(float, partial, [2][kRowThreads / kWarp]);
  const auto count = static_cast<float>(columns);
  HeldRow<T, kN, Source> row(source, columns);
  float sum = 0.0F, squares = 0.0F;
  row.make([&](const float(&v)[kN]) {
    for (int i = 0; i < kN; ++i) sum += v[i];
  });
  const float mean = row_sum(sum, partial[0]) / count;
  row.again([&](const float(&v)[kN]) {
    for (int i = 0; i < kN; ++i) squares += (v[i] - mean) * (v[i] - mean);
  });
  const float r = rsqrtf(row_sum(squares, partial[1]) / count + epsilon);
  row.write(y, gain, bias, [=](float v, float g, float b) { return g * ((v - mean) * r) + b; });
  return {mean, r};
}

// A row that is there already.
template <class T, int kN>
struct RowOfMemory {
  const T* row;
  using Raw = Chunk<T, kN>;
  __device__ __forceinline__ Raw fetch(std::uint32_t column) const { return Raw::load(row + column); }
  __device__ __forceinline__ Raw make(const Raw& raw, std::uint32_t) const { return raw; }
  __device__ __forceinline__ void keep(std::uint32_t, const Raw&) const {}
  __device__ __forceinline__ Raw again(std::uint32_t column) const { return fetch(column); }
};

}  // namespace headwater::kernels
