#include "headwater/base/error.h"
#include "json_reading.h"
#include "manifest_json.h"

#include <nlohmann/json.hpp>

#include <charconv>

namespace headwater {
namespace {

using nlohmann::json;

constexpr StateKind kKinds[] = {StateKind::weight, StateKind::exp_avg, StateKind::exp_avg_sq};
constexpr DType kDTypes[] = {DType::f32, DType::bf16};

std::string hash_text(std::uint64_t hash) { return fmt::format("{:016x}", hash); }

std::uint64_t read_hash(const json& value, const std::string& where) {
  const std::string digits = text(value, where);
  std::uint64_t hash = 0;
  const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), hash, 16);
  if (digits.size() != 16 || status != std::errc() || end != digits.data() + digits.size())
    throw UserError("{} is \"{}\"; it must be 16 hexadecimal digits", where, digits);
  return hash;
}

template <class Enum, std::size_t n>
Enum read_name(const Enum (&values)[n], const json& value, const std::string& where) {
  const std::string name = text(value, where);
  for (const Enum candidate : values)
    if (name_of(candidate) == name) return candidate;
  throw UserError("{} is \"{}\"; this version does not know it", where, name);
}

json slice_json(const StoredSlice& stored) {
  const Slice& slice = stored.slice;
  return {{"file", stored.file},
          {"key", stored.key},
          {"begin", shape_json(slice.box.begin)},
          {"size", shape_json(slice.box.size)},
          {"range", {slice.first, slice.first + slice.count}}};
}

StoredSlice read_slice(const json& entry, const std::string& where) {
  StoredSlice stored;
  stored.file = text(member(entry, "file", where), "file of " + where);
  stored.key = text(member(entry, "key", where), "key of " + where);
  stored.slice.box.begin = read_shape(member(entry, "begin", where), "begin of " + where);
  stored.slice.box.size = read_shape(member(entry, "size", where), "size of " + where);
  const json& range = member(entry, "range", where);
  if (!range.is_array() || range.size() != 2) throw UserError("the range of {} must be [begin, end]", where);
  stored.slice.first = whole_number(range[0], "the range of " + where);
  stored.slice.count = whole_number(range[1], "the range of " + where) - stored.slice.first;
  return stored;
}

// Returns what is wrong with a state, or nothing if each element is in exactly one slice, and each slice in
// a file that the manifest lists.
std::optional<std::string> state_inconsistency(const Manifest& manifest, const std::string& name,
                                               const StoredState& state) {
  std::int64_t covered = 0;
  for (std::size_t i = 0; i < state.slices.size(); ++i) {
    const StoredSlice& stored = state.slices[i];
    if (!manifest.files.contains(stored.file))
      return fmt::format("{} lies in the file {}, which is not listed", name, stored.file);
    if (!lies_within(stored.slice, state.shape))
      return fmt::format("{} is {}, but a slice of it is {}", name, to_string(state.shape),
                         to_string(stored.slice));
    for (std::size_t j = 0; j < i; ++j)
      if (for_shared_runs(state.slices[j].slice, stored.slice, [](auto, auto, auto) {}) > 0)
        return fmt::format("{} is stored twice: {} and {}", name, to_string(state.slices[j].slice),
                           to_string(stored.slice));
    covered += stored.slice.count;
  }
  if (covered != state.shape.elements())
    return fmt::format("{} is {}, but its slices hold {} of its {} elements", name, to_string(state.shape),
                       covered, state.shape.elements());
  return std::nullopt;
}

}  // namespace

std::string_view name_of(StateKind kind) {
  switch (kind) {
    case StateKind::weight: return "weight";
    case StateKind::exp_avg: return "exp_avg";
    case StateKind::exp_avg_sq: return "exp_avg_sq";
  }
  return "";
}

json contents_json(const Manifest& manifest) {
  json files = json::object(), states = json::array();
  for (const auto& [name, file] : manifest.files)
    files[name] = {{"bytes", file.size}, {"xxh3", hash_text(file.hash)}};
  for (const auto& [name, state] : manifest.states) {
    json slices = json::array();
    for (const StoredSlice& slice : state.slices) slices.push_back(slice_json(slice));
    states.push_back({{"parameter", name.parameter},
                      {"kind", name_of(name.kind)},
                      {"dtype", name_of(state.dtype)},
                      {"shape", shape_json(state.shape)},
                      {"slices", std::move(slices)}});
  }
  return {{"files", std::move(files)}, {"states", std::move(states)}};
}

void add_contents(const json& contents, const std::string& where, Manifest& manifest) {
  const json &files = member(contents, "files", where), &states = member(contents, "states", where);
  if (!files.is_object() || !states.is_array())
    throw UserError("{}: \"files\" must be an object and \"states\" a list", where);
  for (const auto& [name, file] : files.items()) {
    const std::string place = fmt::format("file {} in {}", name, where);
    if (name.empty() || Path(name).filename() != name) throw UserError("{} is no plain file name", place);
    StoredFile stored;
    stored.size = static_cast<std::uint64_t>(whole_number(member(file, "bytes", place), "bytes of " + place));
    stored.hash = read_hash(member(file, "xxh3", place), "xxh3 of " + place);
    if (!manifest.files.emplace(name, stored).second) throw UserError("{} is listed twice", place);
  }
  for (const json& entry : states) {
    const StateName name{text(member(entry, "parameter", where), "a parameter in " + where),
                         read_name(kKinds, member(entry, "kind", where), "a kind in " + where)};
    const std::string place = fmt::format("{} {} in {}", name.parameter, name_of(name.kind), where);
    const DType dtype = read_name(kDTypes, member(entry, "dtype", place), "dtype of " + place);
    const Shape shape = read_shape(member(entry, "shape", place), "shape of " + place);
    StoredState& state = manifest.states.try_emplace(name, StoredState{dtype, shape, {}}).first->second;
    if (state.dtype != dtype || state.shape != shape)
      throw UserError("{} is listed twice, differently", place);
    const json& slices = member(entry, "slices", place);
    if (!slices.is_array()) throw UserError("slices of {} must be a list", place);
    for (const json& slice : slices) state.slices.push_back(read_slice(slice, place));
  }
}

std::optional<std::string> inconsistency(const Manifest& manifest) {
  for (const auto& [name, state] : manifest.states)
    if (auto problem =
            state_inconsistency(manifest, fmt::format("{} {}", name.parameter, name_of(name.kind)), state))
      return problem;
  return std::nullopt;
}

}  // namespace headwater
