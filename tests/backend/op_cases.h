#pragma once
// The list of ops and their cases: sizes of 1, odd sizes, sizes around every tile, strided rows, borders, and
// each switch on and off. A backend is tested on all of them by being added to the list in ops_test.cpp.

#include "tests/backend/op_case.h"

namespace headwater::testing {

struct OpCases {
  const char* op;
  std::vector<OpCase> (*make)(Precision precision);
};

std::vector<OpCases> all_ops();

std::vector<OpCases> memory_ops();
std::vector<OpCases> product_ops();
std::vector<OpCases> row_ops();
std::vector<OpCases> attention_ops();
std::vector<OpCases> training_ops();

// The first token that each may reach, for documents of random lengths 1 to 9 in each of `samples` samples of
// `sequence` tokens, as indices that count from `offset`. Lengths of 1 come in runs too.
std::vector<double> document_starts(OpCase& c, std::int64_t samples, std::int64_t sequence,
                                    std::int64_t offset);
// Random 64-bit keys, [samples, 2], dense.
TensorView dropout_keys(OpCase& c, std::int64_t samples);

}  // namespace headwater::testing
