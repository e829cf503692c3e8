#include "command.h"

#include "headwater/base/error.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <sstream>
#include <utility>

namespace headwater {

Option& Option::required() {
  option_->required();
  return *this;
}

Option& Option::between(std::int64_t least, std::int64_t most) {
  option_->check(CLI::Range(least, most));
  return *this;
}

Option& Option::between(double least, double most) {
  option_->check(CLI::Range(least, most));
  return *this;
}

Option& Option::not_negative() {
  option_->check(CLI::NonNegativeNumber);
  return *this;
}

Option& Option::one_of(const std::vector<std::string>& values) {
  option_->check(CLI::IsMember(values));
  return *this;
}

Option& Option::separated_by(char separator) {
  option_->delimiter(separator);
  return *this;
}

Option& Option::may_be_repeated() {
  option_->expected(1)->take_all()->allow_extra_args(false);
  return *this;
}

Option& Option::not_with(const Option& other) {
  option_->excludes(other.option_);
  return *this;
}

Option& Option::shows_default() {
  option_->capture_default_str();
  return *this;
}

Command Command::command(const std::string& name, const std::string& help) const {
  return {app_->add_subcommand(name, help), chosen_};
}

void Command::needs_a_command() { app_->require_subcommand(1); }

Option Command::option(const std::string& name, OptionValue value, const std::string& help) {
  return Option(std::visit([&](auto* to) { return app_->add_option(name, *to, help); }, value));
}

void Command::flag(const std::string& name, bool* value, const std::string& help) {
  app_->add_flag(name, *value, help);
}

void Command::footer(std::function<std::string()> text) { app_->footer(std::move(text)); }

void Command::hide() { app_->group(""); }

void Command::runs(std::function<int()> run) {
  app_->callback([chosen = chosen_, run = std::move(run)] { *chosen = run; });
}

CommandLine::CommandLine(const std::string& name, const std::string& description, const std::string& version,
                         const std::string& footer)
    : app_(std::make_unique<CLI::App>(description, name)) {
  app_->set_version_flag("--version", version);
  app_->require_subcommand(1);
  app_->footer(footer);
}

CommandLine::~CommandLine() = default;

Command CommandLine::root() { return {app_.get(), &chosen_}; }

std::vector<std::string> CommandLine::commands() const {
  std::vector<std::string> names;
  for (const CLI::App* command : std::as_const(*app_).get_subcommands({}))
    if (!command->get_group().empty()) names.push_back(command->get_name());
  return names;
}

bool CommandLine::has_command(const std::string& name) const {
  const auto is_it = [&](const CLI::App* command) { return command->check_name(name); };
  return !std::as_const(*app_).get_subcommands(is_it).empty();
}

std::optional<std::string> CommandLine::parse(std::vector<std::string> arguments) {
  try {
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    app_->parse(arguments);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) throw UserError("{} (see headwater --help)", std::string(error.what()));
    std::ostringstream text;
    app_->exit(error, text, text);
    return text.str();
  }
}

}  // namespace headwater
