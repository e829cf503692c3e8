#include "headwater/base/error.h"

#include "commands.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <optional>
#include <utility>

namespace headwater {
namespace {

// Commands that the interface has a name for, but that are not built yet.
const std::map<std::string, std::string>& not_built() {
  static const std::map<std::string, std::string> commands = {
      {"checkpoint import", "import into a checkpoint; training.init_from reads a Hugging Face folder"},
      {"checkpoint export", "export to a Hugging Face folder"},
  };
  return commands;
}

void refuse_what_is_not_built(const std::vector<std::string>& arguments) {
  std::string name;
  for (std::size_t i = 0; i < std::min<std::size_t>(2, arguments.size()); ++i) {
    name += (i == 0 ? "" : " ") + arguments[i];
    if (const auto found = not_built().find(name); found != not_built().end())
      throw UserError("headwater {} is not built yet ({})", name, found->second);
  }
}

// Refuses a word that is no command, naming the commands that there are; the parser would only say that one
// is missing.
void check_command(const CommandLine& line, const std::vector<std::string>& arguments) {
  if (!arguments.empty() && arguments[0].rfind("-", 0) == 0) return;
  if (arguments.empty())
    throw UserError("no command is given; the commands are {} (see headwater --help)",
                    fmt::join(line.commands(), ", "));
  if (!line.has_command(arguments[0]))
    throw UserError("unknown command {}; the commands are {} (see headwater --help)", arguments[0],
                    fmt::join(line.commands(), ", "));
}

// Takes every "--section.key=value" out of the command line, before the rest is parsed.
bool is_override(const std::string& argument) {
  if (argument.rfind("--", 0) != 0) return false;
  const std::size_t end = argument.find('='), dot = argument.find('.');
  return dot != std::string::npos && (end == std::string::npos || dot < end);
}

}  // namespace

std::ostream* Session::out() const { return world.rank() == 0 ? &std::cout : nullptr; }

void Session::one_rank_only(const char* command_name) const {
  if (world.size() > 1)
    throw UserError("headwater {} runs on one rank, without mpirun; found {} ranks", command_name,
                    world.size());
}

int run_command_line(World& world, std::vector<std::string> arguments) {
  refuse_what_is_not_built(arguments);
  Session session{world, {}};
  const auto first_override = std::stable_partition(arguments.begin(), arguments.end(),
                                                    [](const std::string& a) { return !is_override(a); });
  for (auto i = first_override; i != arguments.end(); ++i) {
    if (i->find('=') == std::string::npos)
      throw UserError("{}: a config key needs a value: {}=VALUE", *i, *i);
    session.overrides.push_back(*i);
  }
  arguments.erase(first_override, arguments.end());

  CommandLine line(
      "headwater",
      "Headwater pretrains decoder-only transformers: Yuan 2.0 with localized filtering-based attention.",
      "headwater " HEADWATER_VERSION,
      "Config keys are given as --section.key=value; docs/config-reference.md lists them.");
  const Command root = line.root();
  add_train(root, session);
  add_eval(root, session);
  add_generate(root, session);
  add_probes(root, session);
  add_data(root, session);
  add_checkpoint(root, session);
  add_bench(root, session);
  add_plan(root, session);
  add_schedule(root, session);
  add_config_reference(root, session);
  check_command(line, arguments);
  if (const std::optional<std::string> text = line.parse(std::move(arguments))) {
    if (session.out() != nullptr) *session.out() << *text;
    return 0;
  }
  return line.chosen()();
}

}  // namespace headwater
