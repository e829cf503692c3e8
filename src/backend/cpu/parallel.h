#pragma once
// Work shared out over the threads of a backend. Without OpenMP one thread does everything, part after part,
// with the same results.

#include <algorithm>
#include <cstdint>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace headwater::cpu {

// body(begin, end, part) for `threads` contiguous parts of [0, n); some may be empty. Where the cuts lie
// depends on n and threads only, so that sums over parts, added in the order of parts, have the same bits in
// every run.
template <class Body>
void parallel_parts(int threads, std::int64_t n, const Body& body) {
#pragma omp parallel for schedule(static, 1) num_threads(threads)
  for (int part = 0; part < threads; ++part) body(n * part / threads, n * (part + 1) / threads, part);
}

// body(item, slot) for every item of [0, n), to whoever is free; items must not depend on each other. `slot`
// < threads is the worker's own number, for its scratch memory.
template <class Body>
void parallel_items(int threads, std::int64_t n, const Body& body) {
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (std::int64_t item = 0; item < n; ++item) body(item, omp_get_thread_num());
#else
  static_cast<void>(threads);
  for (std::int64_t item = 0; item < n; ++item) body(item, 0);
#endif
}

}  // namespace headwater::cpu
