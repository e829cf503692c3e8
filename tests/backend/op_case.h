#pragma once
// One op, one set of operands. A case runs on the reference catalogue in f64 and on a backend in its own
// dtypes, from the same numbers (rounded to those dtypes first), and every operand is then compared: results
// within a stated tolerance, inputs and the gaps between strided rows for not having been touched.

#include "headwater/backend/backend.h"
#include "headwater/model/activation_spec.h"

#include <functional>
#include <random>
#include <string>
#include <vector>

namespace headwater::testing {

// What an operand's dtype follows from (backend.h: c, a, f64, i32).
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
  std::string name;
  Role role = Role::compute;
  Shape shape;
  std::int64_t gap = 0;        // elements between the end of a row and the next
  std::vector<double> values;  // before the op, dense; NaN where the op is to write without having read
  bool result = false;         // written by the op
  Tolerance tolerance;
};

using Views = std::vector<TensorView>;

// Operands are named by the number that adding them gives: views[number] in `run`.
struct OpCase {
  std::string op, name;
  Precision precision;
  std::vector<Operand> operands;
  std::function<void(Backend&, const Views&)> run;
  std::mt19937 random;
  std::int64_t gap = 0;  // of all matrices that are added; vectors are dense

  OpCase(std::string which_op, std::string which_case, Precision p);

  // Uniform in [−1, 1], rounded to the dtype under test.
  std::size_t input(const std::string& operand, Role role, Shape shape, double scale = 1.0);
  std::size_t values(const std::string& operand, Role role, Shape shape, std::vector<double> numbers);
  std::size_t output(const std::string& operand, Role role, Shape shape, Tolerance tolerance = {});
  // An input that the op changes.
  std::size_t updated(std::size_t operand, Tolerance tolerance = {});

  double uniform(double low, double high);
  std::int64_t integer(std::int64_t low, std::int64_t high);  // both included
};

// The operands' values after the op: dense, in f64. Checks guards around operands and gaps.
std::vector<std::vector<double>> run_on(Backend& backend, const OpCase& op_case, Precision precision);

// Runs the case on both and adds a failure to the running test for each operand that differs.
void expect_same_as_reference(Backend& backend, const OpCase& op_case);

// Puts a NaN into one element of each floating operand by turns, and adds a failure where the reference's
// result has become a NaN and the backend's has not. Large cases are left out: they would tell nothing more.
// Returns how many results were looked at.
int expect_nan_shows(Backend& backend, const OpCase& op_case);

}  // namespace headwater::testing
