#include "nearest_key.h"

#include "headwater/base/error.h"
#include "headwater/base/glob.h"
#include "headwater/config/field_table.h"

#include <algorithm>
#include <limits>

namespace headwater {
namespace {

// A key in another section counts as half a letter further away, as most misspelt keys are in the right
// section.
std::size_t key_distance(const Field& field, std::string_view section, std::string_view name) {
  return 2 * glob_distance(field.name, name) + (field.section == section ? 0 : 1);
}

std::string sections_text() {
  std::string text;
  for (const FieldSection& section : field_table()) text += (text.empty() ? "" : ", ") + section.name;
  return text;
}

}  // namespace

std::string nearest_key(std::string_view section, std::string_view name) {
  const Field* nearest = nullptr;
  std::size_t least = std::numeric_limits<std::size_t>::max();
  for (const FieldSection& candidates : field_table()) {
    for (const Field& field : candidates.fields) {
      const std::size_t distance = key_distance(field, section, name);
      if (distance >= least) continue;
      least = distance;
      nearest = &field;
    }
  }
  return nearest->key();
}

std::string nearest_section(std::string_view section) {
  const auto nearest =
      std::min_element(field_table().begin(), field_table().end(), [&](const auto& a, const auto& b) {
        return glob_distance(a.name, section) < glob_distance(b.name, section);
      });
  return nearest->name;
}

void throw_unknown_key(std::string_view section, std::string_view name, std::string_view where) {
  const std::string nearest = nearest_key(section, name);
  const std::string nearest_name = nearest.substr(nearest.find('.') + 1);
  if (find_section(section) && nearest_name == name)
    throw UserError("unknown key {}.{} {}: {} belongs to another section; write {}", section, name, where,
                    name, nearest);
  throw UserError("unknown key {}.{} {}; the nearest known key is {}", section, name, where, nearest);
}

void throw_unknown_section(std::string_view section, std::string_view where) {
  const std::string key = nearest_key("", section);
  if (key.substr(key.find('.') + 1) == section)
    throw UserError("unknown section {} {}: {} is a key; write {}", section, where, section, key);
  throw UserError("unknown section {} {}; the nearest is {} (there are {})", section, where,
                  nearest_section(section), sections_text());
}

}  // namespace headwater
