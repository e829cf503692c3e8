#pragma once
// One op of the catalogue with its operands. A case runs on the reference catalogue in f64 and on a backend
// in its own dtypes, from the same numbers (rounded to those dtypes first), and every operand is then
// compared: results within a stated tolerance, inputs and the gaps between strided rows for not having been
// touched.

#include "headwater/backend/any_op.h"
#include "headwater/model/activation_spec.h"

#include <random>
#include <string>
#include <vector>

namespace headwater::testing {

// What an operand's dtype follows from (ops.h: c, a, f64, i32).
enum class Role { compute, accumulate, f64, index };

DType dtype_for(Role role, Precision precision);
double rounded(double value, DType dtype);

// How far a result may lie from the reference: (units · unit + 4·√terms · 2^−23) · size. `unit` is the last
// place of 1 in the result's dtype (bf16 2^−7, f32 2^−23): one rounding takes half a unit. `terms` is the
// length of the longest sum, which runs in f32; the errors of its roundings grow like a random walk. `size`
// is the largest reference value of the row, or `floor` where that is larger: the size of the terms where a
// result is a difference that may cancel.
struct Tolerance {
  double units = 1.0, terms = 1.0, floor = 0.0;
};

struct Operand {
  Role role = Role::compute;
  Shape shape;
  std::int64_t gap = 0;        // elements between the end of a row and the next
  std::vector<double> values;  // before the op, dense; NaN where the op is to write without having read
  Tolerance tolerance;         // where it is a result

  // Both as the op has them: what it calls the operand, and whether it writes it. An operand that the op does
  // not take has no name, and must stay as it is.
  std::string name;
  bool result = false;
};

// A case is made of operands, and then of an op that takes them:
//   OpCase c("two rows", precision);
//   c.set_op(op::Add{.x = c.input(Role::compute, {2, 5}), .y = c.updated(Role::compute, {2, 5})});
// The functions that add an operand return a placeholder: a view of the operand's shape and row stride, in
// the dtype under test, on memory that does not exist. It may be cut like any other view (rows(),
// slice_columns(), reshaped()). run_on() puts the operands' memory in the place of the op's placeholders.
struct OpCase {
  std::string name;
  Precision precision;
  std::vector<Operand> operands;
  AnyOp op;
  std::mt19937 random;   // seeded with the name
  std::int64_t gap = 0;  // of all matrices that are added; vectors are dense

  OpCase(std::string which, Precision p);

  // Uniform in [−scale, scale], rounded to the dtype under test.
  TensorView input(Role role, Shape shape, double scale = 1.0);
  TensorView values(Role role, Shape shape, std::vector<double> numbers, Tolerance tolerance = {});
  // An operand that the op writes without reading it.
  TensorView output(Role role, Shape shape, Tolerance tolerance = {});
  // An input that the op changes.
  TensorView updated(Role role, Shape shape, Tolerance tolerance = {}, double scale = 1.0);

  // Makes `which` the op of the case, and says of each operand how that uses it.
  void set_op(AnyOp which);

  double uniform(double low, double high);
  std::int64_t integer(std::int64_t low, std::int64_t high);  // both included

  std::string title() const;  // the op's name and that of the case
};

// The op's name in the catalogue (kName), whichever of its functions it computes.
const char* catalogue_name(const AnyOp& op);
// The index, among the operands of its case, of the one that a placeholder stands for.
std::size_t number_of(const TensorView& placeholder);

// The operands' values after the op: dense, in f64. Checks guards around operands and gaps.
std::vector<std::vector<double>> run_on(Backend& backend, const OpCase& op_case, Precision precision);

// Runs the case on both and adds a failure to the running test for each operand that differs.
void expect_same_as_reference(Backend& backend, const OpCase& op_case);

// Puts a NaN into one element of each floating operand by turns, and adds a failure where the reference's
// result has become a NaN and the backend's has not. Large cases are left out: they would tell nothing more.
// Returns how many results were looked at.
int expect_nan_shows(Backend& backend, const OpCase& op_case);

}  // namespace headwater::testing
