#include "tests/backend/op_case.h"

#include "headwater/tensor/arena.h"
#include "tests/reference/reference_backend.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace headwater::testing {
namespace {

constexpr std::int64_t kGuard = 32;    // elements before and after each operand that no op may touch
constexpr double kUntouched = 1000.0;  // what guards and gaps hold; exact in every dtype

// Operand n of a case has the fake address (n + 1) · 2^40, so that a placeholder tells which operand it is a
// window on, and where it begins in it.
constexpr int kAddressBits = 40;

template <class Op, class Visit>
void for_operands(Op& op, const Visit& visit) {
  with_op(op, [&](auto& which) { std::remove_cvref_t<decltype(which)>::operands(which, visit); });
}

std::string described(const Operand& operand) {
  return (operand.name.empty() ? "an operand that the op does not take" : operand.name) + " " +
         to_string(operand.shape);
}

// One operand in memory as the backend sees it: guard, rows with gaps, guard.
std::vector<std::byte> encode(const Operand& operand, DType dtype) {
  const std::int64_t rows = operand.shape.rank() == 0 ? 1 : operand.shape[0],
                     columns = operand.shape.row_elements();
  const std::int64_t stride = columns + operand.gap;
  std::vector<std::byte> memory(static_cast<std::size_t>(2 * kGuard + rows * stride) * size_of(dtype));
  for (std::int64_t i = 0; i < 2 * kGuard + rows * stride; ++i) {
    const std::int64_t row = i < kGuard ? rows : (i - kGuard) / stride,
                       column = i < kGuard ? 0 : (i - kGuard) % stride;
    const bool inside = row < rows && column < columns;
    const double value =
        inside ? operand.values[static_cast<std::size_t>(row * columns + column)] : kUntouched;
    std::byte* to = memory.data() + static_cast<std::size_t>(i) * size_of(dtype);
    const auto put = [&](auto number) { std::memcpy(to, &number, sizeof(number)); };
    switch (dtype) {
      case DType::f32: put(static_cast<float>(value)); break;
      case DType::bf16: put(bf16(static_cast<float>(value))); break;
      case DType::f64: put(value); break;
      case DType::i32: put(static_cast<std::int32_t>(value)); break;
    }
  }
  return memory;
}

double decode_element(const std::byte* from, DType dtype) {
  const auto get = [&](auto number) {
    std::memcpy(&number, from, sizeof(number));
    return number;
  };
  switch (dtype) {
    case DType::f32: return get(float());
    case DType::bf16: return static_cast<float>(get(bf16()));
    case DType::f64: return get(double());
    case DType::i32: return get(std::int32_t());
  }
  return 0.0;
}

std::vector<double> decode(const std::vector<std::byte>& memory, const Operand& operand, DType dtype) {
  const std::int64_t rows = operand.shape.rank() == 0 ? 1 : operand.shape[0],
                     columns = operand.shape.row_elements();
  const std::int64_t stride = columns + operand.gap;
  std::vector<double> values;
  std::int64_t touched = 0;
  for (std::int64_t i = 0; i < 2 * kGuard + rows * stride; ++i) {
    const double value = decode_element(memory.data() + static_cast<std::size_t>(i) * size_of(dtype), dtype);
    const bool inside = i >= kGuard && i < kGuard + rows * stride && (i - kGuard) % stride < columns;
    if (inside)
      values.push_back(value);
    else
      touched += value != kUntouched;
  }
  EXPECT_EQ(touched, 0) << "elements written outside " << described(operand);
  return values;
}

void compare(const Operand& operand, DType dtype, const std::vector<double>& expected,
             const std::vector<double>& found) {
  const auto columns = static_cast<std::size_t>(std::max<std::int64_t>(operand.shape.row_elements(), 1));
  // A vector is one row.
  const std::size_t row_length = operand.shape.rank() <= 1 ? expected.size() : columns;
  const double unit = dtype == DType::bf16 ? 0x1p-7 : dtype == DType::f64 ? 0x1p-52 : 0x1p-23;
  int reported = 0;
  for (std::size_t begin = 0; begin < expected.size() && reported == 0; begin += row_length) {
    double scale = operand.tolerance.floor;
    for (std::size_t i = begin; i < begin + row_length; ++i)
      if (std::isfinite(expected[i])) scale = std::max(scale, std::abs(expected[i]));
    const double allowed =
        operand.result
            ? scale * (operand.tolerance.units * unit + 4.0 * std::sqrt(operand.tolerance.terms) * 0x1p-23)
            : 0.0;
    for (std::size_t i = begin; i < begin + row_length && reported == 0; ++i) {
      const bool equal =
          expected[i] == found[i] || (!operand.result && std::isnan(expected[i]) && std::isnan(found[i]));
      if (equal || std::abs(expected[i] - found[i]) <= allowed) continue;  // false where one of them is NaN
      ADD_FAILURE() << described(operand) << " element " << i << ": " << found[i] << " and not "
                    << expected[i] << " ± " << allowed;
      ++reported;
    }
  }
}

}  // namespace

DType dtype_for(Role role, Precision precision) {
  switch (role) {
    case Role::compute: return precision.compute;
    case Role::accumulate: return precision.accumulate;
    case Role::f64: return DType::f64;
    case Role::index: return DType::i32;
  }
  return DType::f64;
}

double rounded(double value, DType dtype) {
  switch (dtype) {
    case DType::f32: return static_cast<float>(value);
    case DType::bf16: return static_cast<float>(bf16(static_cast<float>(value)));
    case DType::f64: return value;
    case DType::i32: return std::round(value);
  }
  return value;
}

const char* catalogue_name(const AnyOp& op) {
  const char* name = "";
  with_op(op, [&](const auto& which) { name = std::remove_cvref_t<decltype(which)>::kName; });
  return name;
}

std::size_t number_of(const TensorView& placeholder) {
  return static_cast<std::size_t>(reinterpret_cast<std::uintptr_t>(placeholder.data) >> kAddressBits) - 1;
}

OpCase::OpCase(std::string which, Precision p) : name(std::move(which)), precision(p) {
  std::seed_seq seed(name.begin(), name.end());
  random.seed(seed);
}

double OpCase::uniform(double low, double high) {
  return low + (high - low) * (static_cast<double>(random()) * 0x1p-32);
}

std::int64_t OpCase::integer(std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(random()) % (high - low + 1);
}

TensorView OpCase::input(Role role, Shape shape, double scale) { return updated(role, shape, {}, scale); }

TensorView OpCase::updated(Role role, Shape shape, Tolerance tolerance, double scale) {
  std::vector<double> numbers(static_cast<std::size_t>(shape.elements()));
  for (double& number : numbers) number = scale * uniform(-1.0, 1.0);
  return values(role, shape, std::move(numbers), tolerance);
}

TensorView OpCase::output(Role role, Shape shape, Tolerance tolerance) {
  const std::vector<double> nothing(static_cast<std::size_t>(shape.elements()),
                                    std::numeric_limits<double>::quiet_NaN());
  return values(role, shape, nothing, tolerance);
}

TensorView OpCase::values(Role role, Shape shape, std::vector<double> numbers, Tolerance tolerance) {
  const DType dtype = dtype_for(role, precision);
  for (double& number : numbers) number = rounded(number, dtype);
  operands.push_back({role, shape, shape.rank() > 1 ? gap : 0, std::move(numbers), tolerance, {}, false});
  TensorView placeholder(reinterpret_cast<void*>(operands.size() << kAddressBits), dtype, shape);
  placeholder.row_stride += operands.back().gap;
  return placeholder;
}

void OpCase::set_op(AnyOp which) {
  op = std::move(which);
  for_operands(op, [&](const char* operand_name, op::Use use, const TensorView& placeholder) {
    if (!placeholder) return;
    Operand& operand = operands.at(number_of(placeholder));
    operand.name += (operand.name.empty() ? "" : ", ") + std::string(operand_name);
    operand.result = operand.result || use != op::Use::read;
  });
}

std::string OpCase::title() const { return catalogue_name(op) + (", " + name); }

std::vector<std::vector<double>> run_on(Backend& backend, const OpCase& op_case, Precision precision) {
  std::vector<std::vector<std::byte>> memory;
  std::int64_t bytes = 0;
  for (const Operand& operand : op_case.operands) {
    memory.push_back(encode(operand, dtype_for(operand.role, precision)));
    bytes += aligned(static_cast<std::int64_t>(memory.back().size()));
  }
  Arena arena(backend.device());
  arena.reserve("operands", bytes);
  std::vector<TensorView> on_device;  // with the guards
  for (std::size_t i = 0; i < memory.size(); ++i) {
    const DType dtype = dtype_for(op_case.operands[i].role, precision);
    const auto elements = static_cast<std::int64_t>(memory[i].size() / size_of(dtype));
    on_device.push_back(arena.take("operands", dtype, {elements}));
    backend.to_device(TensorView(memory[i].data(), dtype, {elements}), on_device.back());
  }

  AnyOp op = op_case.op;
  for_operands(op, [&](const char*, op::Use, TensorView& view) {
    if (!view) return;
    const std::size_t number = number_of(view);
    const std::size_t first_byte =
        reinterpret_cast<std::uintptr_t>(view.data) - ((number + 1) << kAddressBits);
    const std::size_t first = static_cast<std::size_t>(kGuard) + first_byte / size_of(view.dtype);
    const TensorView& there = on_device.at(number);
    view.data = static_cast<std::byte*>(there.data) + first * size_of(there.dtype);
    view.dtype = there.dtype;
    view.device = there.device;
  });
  run(backend, op);

  std::vector<std::vector<double>> after;
  for (std::size_t i = 0; i < memory.size(); ++i) {
    const TensorView& there = on_device[i];
    backend.to_host(there, TensorView(memory[i].data(), there.dtype, there.shape));
    after.push_back(decode(memory[i], op_case.operands[i], there.dtype));
  }
  return after;
}

void expect_same_as_reference(Backend& backend, const OpCase& op_case) {
  SCOPED_TRACE(op_case.title());
  ReferenceBackend reference;
  const auto expected = run_on(reference, op_case, {DType::f64, DType::f64});
  const auto found = run_on(backend, op_case, op_case.precision);
  for (std::size_t i = 0; i < op_case.operands.size(); ++i) {
    const Operand& operand = op_case.operands[i];
    compare(operand, dtype_for(operand.role, op_case.precision), expected[i], found[i]);
  }
}

int expect_nan_shows(Backend& backend, const OpCase& op_case) {
  std::size_t elements = 0;
  for (const Operand& operand : op_case.operands) elements += operand.values.size();
  if (elements > 10000) return 0;
  int looked_at = 0;
  ReferenceBackend reference;
  for (std::size_t i = 0; i < op_case.operands.size(); ++i) {
    const Operand& operand = op_case.operands[i];
    if (operand.role == Role::index || operand.values.empty() || operand.name.empty()) continue;
    OpCase spoilt = op_case;
    double& element = spoilt.operands[i].values[operand.values.size() / 2];
    if (std::isnan(element)) continue;  // an output
    element = std::numeric_limits<double>::quiet_NaN();
    SCOPED_TRACE(op_case.title() + ", NaN in " + operand.name);
    const auto expected = run_on(reference, spoilt, {DType::f64, DType::f64});
    const auto found = run_on(backend, spoilt, op_case.precision);
    const auto has_nan = [](const std::vector<double>& values) {
      return std::ranges::any_of(values, [](double value) { return std::isnan(value); });
    };
    for (std::size_t k = 0; k < expected.size(); ++k) {
      if (!op_case.operands[k].result || !has_nan(expected[k])) continue;
      EXPECT_TRUE(has_nan(found[k])) << "none in " << op_case.operands[k].name;
      ++looked_at;
    }
  }
  return looked_at;
}

}  // namespace headwater::testing
