// StageLayout's table for people.

#include "headwater/base/error.h"
#include "headwater/layout/stage_layout.h"
#include "headwater/nn/model_units.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

namespace headwater {
namespace {

using Row = std::vector<std::string>;

// Layers are counted from 1 here, as the units are.
std::string text_of(const StageUnits& units) {
  std::vector<std::string> parts;
  const int first = units.first + (units.has_embedding ? 1 : 0), last = first + units.layers() - 1;
  if (units.has_embedding) parts.emplace_back("embedding");
  if (units.layers() == 1) parts.push_back(fmt::format("layer {}", first));
  if (units.layers() > 1) parts.push_back(fmt::format("layers {}-{}", first, last));
  if (units.has_head) parts.emplace_back("head");
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  return digits;
}

std::string bytes_text(std::int64_t bytes) {
  constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024.0 && unit + 1 < units.size(); ++unit) value /= 1024.0;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.2f} {}", value, units[unit]);
}

}  // namespace

std::string StageLayout::table(const ModelSpec& model, const Placement& placement,
                               BytesPerParameter each) const {
  HW_CHECK(placement.stages() == stages(), "a placement of {} stages for a layout of {}", placement.stages(),
           stages());
  // The head's own copy of a tied embedding, which it needs where the embedding lies on another rank.
  const bool copied = model.tied && placement.rank_of(0) != placement.rank_of(stages() - 1);

  std::vector<Row> rows = {{"stage", "rank", "units", "layers", "parameters", "bytes"}};
  const bool recomputes = std::any_of(units_.begin(), units_.end(), [](const StageUnits& units) {
    return units.recompute != Recompute::none;
  });
  if (recomputes) rows.front().emplace_back("recomputed");
  std::int64_t held = 0;
  double held_bytes = 0.0;
  const auto text_of_bytes = [](double bytes) { return bytes_text(static_cast<std::int64_t>(bytes)); };
  for (int s = 0; s < stages(); ++s) {
    const StageUnits& units = stage(s);
    std::int64_t count = 0;
    double bytes = 0.0;
    for (const ParameterSpec& spec : parameters_of(model, units.first, units.last))
      if (copied || stage_of_unit(spec.unit) == s) {
        count += spec.elements();
        bytes += static_cast<double>(spec.elements()) * (spec.trained ? each.trained : each.frozen);
      }
    held += count;
    held_bytes += bytes;
    rows.push_back({std::to_string(s), std::to_string(placement.rank_of(s)), text_of(units),
                    std::to_string(units.layers()), grouped(count), text_of_bytes(bytes)});
    if (recomputes) rows.back().push_back(units.recompute_text());
  }
  rows.push_back(
      {"total", "", "", std::to_string(model.layers.size()), grouped(held), text_of_bytes(held_bytes)});

  std::vector<std::size_t> widths(rows.front().size());
  for (const Row& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  constexpr std::size_t kUnits = 2;  // the one column of words
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string padding(widths[c] - row[c].size(), ' ');
      text.append(c == 0 ? 0 : 2, ' ');
      text += c == kUnits ? row[c] + padding : padding + row[c];
    }
    text += '\n';
  }
  if (copied)
    text += fmt::format(
        "The tied embedding is held by the first and the last stage; the model has {} parameters.\n",
        grouped(parameter_count(model)));
  return text;
}

}  // namespace headwater
