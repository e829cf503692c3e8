#include "headwater/base/file.h"
#include "headwater/config/field_value.h"
#include "headwater/config/load_config.h"
#include "headwater/schedule/schedule_table.h"
#include "tests/config/refusal.h"

#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <set>
#include <sstream>

namespace headwater {
namespace {

using test::expect_says;

TEST(FieldTable, NamesAreUniqueAndDescribed) {
  std::set<std::string> keys;
  for (const FieldSection& section : field_table()) {
    EXPECT_FALSE(section.description.empty());
    for (const Field& field : section.fields) {
      EXPECT_TRUE(keys.insert(field.key()).second) << field.key();
      EXPECT_FALSE(field.description.empty()) << field.key();
      EXPECT_EQ(field.description.find_first_of("|\n"), std::string::npos) << field.key();
      EXPECT_EQ(field.rule.feature.empty(), field.rule.built.empty()) << field.key();
    }
  }
}

// Two rows that name the same struct member would be one key under two names.
TEST(FieldTable, EachKeyHasItsOwnPlace) {
  RunConfig run;
  std::set<const void*> places;
  for (const FieldSection& section : field_table())
    for (const Field& field : section.fields)
      EXPECT_TRUE(
          places.insert(std::visit([](auto* place) -> const void* { return place; }, field.locate(run)))
              .second)
          << field.key();
}

TEST(FieldTable, DefaultsKeepTheirOwnRules) {
  RunConfig run;
  for (const FieldSection& section : field_table())
    for (const Field& field : section.fields) EXPECT_NO_THROW(check_value(field, run)) << field.key();
}

TEST(DescribeConfig, PrintConfigShowsValueAndOrigin) {
  const LoadedConfig config =
      parse_config({{"model", {{"preset", "yuan2-tiny"}}}}, "run.json", {"--training.seed=7"});
  std::istringstream lines(print_config(config));
  std::map<std::string, std::string> shown;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t equals = line.find(" = "), comment = line.rfind("  // ");
    ASSERT_NE(equals, std::string::npos) << line;
    ASSERT_NE(comment, std::string::npos) << line;
    shown[line.substr(0, equals)] = line.substr(equals + 3);
  }
  EXPECT_EQ(shown.size(), config.origin.size());
  EXPECT_TRUE(shown["training.seed"].rfind("7 ", 0) == 0) << shown["training.seed"];
  expect_says(shown["training.seed"], "  // command line");
  expect_says(shown["model.num_layers"], "  // preset yuan2-tiny");
  expect_says(shown["model.preset"], "  // run.json");
  expect_says(shown["training.comm_timeout_s"], "600");
  expect_says(shown["training.comm_timeout_s"], "  // default");
}

TEST(DescribeConfig, HelpAndReferenceNameEveryKey) {
  const std::string help = config_help(), reference = config_reference();
  for (const FieldSection& section : field_table()) {
    expect_says(reference, "\n## " + section.name + "\n");
    for (const Field& field : section.fields) {
      expect_says(help, field.key());
      expect_says(help, field.description);
      expect_says(reference, "| `" + field.name + "` | " + type_name(field));
    }
  }
  expect_says(help, fmt::format("one of {}", fmt::join(schedule_names(), ", ")));
  for (const ScheduleKind& kind : schedule_kinds())
    expect_says(reference, fmt::format("| `{}` | {}", kind.name, kind.default_chunks));
}

TEST(DescribeConfig, ReferenceInDocsIsCurrent) {
  EXPECT_EQ(read_text(std::string(HEADWATER_SOURCE_DIR) + "/docs/config-reference.md"), config_reference())
      << "regenerate it: headwater config-reference > docs/config-reference.md";
}

}  // namespace
}  // namespace headwater
