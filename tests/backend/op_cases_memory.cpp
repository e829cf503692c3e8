// zero, copy, add.

#include "tests/backend/op_cases.h"

#include <fmt/format.h>

namespace headwater::testing {
namespace {

std::vector<OpCase> zero_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const std::int64_t gap : {0, 3}) {
    OpCase c("zero", fmt::format("gap {}", gap), p);
    c.gap = gap;
    const auto x = c.updated(c.input("x", Role::compute, {7, 33})),
               y = c.updated(c.input("y", Role::accumulate, {1}));
    c.run = [=](Backend& backend, const Views& v) {
      backend.zero(v[x]);
      backend.zero(v[y]);
    };
    cases.push_back(std::move(c));
  }
  return cases;
}

constexpr Role kFloats[] = {Role::compute, Role::accumulate, Role::f64};

std::vector<OpCase> copy_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Role from : kFloats)
    for (const Role to : kFloats)
      for (const std::int64_t gap : {0, 5}) {
        OpCase c("copy",
                 fmt::format("{} to {}, gap {}", name_of(dtype_for(from, p)), name_of(dtype_for(to, p)), gap),
                 p);
        c.gap = gap;
        const auto x = c.input("from", from, {9, 37}), y = c.output("to", to, {9, 37}, {.units = 0.5});
        c.run = [=](Backend& backend, const Views& v) { backend.copy(v[x], v[y]); };
        cases.push_back(std::move(c));
      }
  return cases;
}

std::vector<OpCase> add_cases(Precision p) {
  std::vector<OpCase> cases;
  for (const Role from : kFloats)
    for (const Role to : kFloats)
      for (const std::int64_t gap : {0, 5}) {
        OpCase c("add",
                 fmt::format("{} to {}, gap {}", name_of(dtype_for(from, p)), name_of(dtype_for(to, p)), gap),
                 p);
        c.gap = gap;
        const auto x = c.input("x", from, {3, 5, 11});
        const auto y = c.updated(c.input("y", to, {3, 5, 11}), {.units = 0.5});
        c.run = [=](Backend& backend, const Views& v) { backend.add(v[x], v[y]); };
        cases.push_back(std::move(c));
      }
  return cases;
}

}  // namespace

std::vector<OpCases> memory_ops() { return {{"zero", zero_cases}, {"copy", copy_cases}, {"add", add_cases}}; }

}  // namespace headwater::testing
