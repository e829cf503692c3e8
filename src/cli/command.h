#pragma once
// A command of the program with its options, as it declares them:
//
//   Command step = bench.command("step", "Time training steps");
//   step.option("--steps", &options->steps, "steps to measure").between(1, 1 << 20).shows_default();
//   step.runs([options] { return bench_step(*options); });
//
// CLI11 parses them. It is made of headers that take a compiler seconds, so command.cpp alone includes it.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace headwater {

// Where the value of an option goes; it keeps what it holds where the option is not given.
using OptionValue = std::variant<std::string*, int*, std::int64_t*, std::uint64_t*, double*,
                                 std::vector<std::string>*, std::vector<int>*>;

// An option, by whose functions a command says what it demands of the value. Each returns the option, for the
// next one.
class Option {
 public:
  Option& required();
  Option& between(int least, int most) { return between(std::int64_t{least}, std::int64_t{most}); }
  Option& between(std::int64_t least, std::int64_t most);
  Option& between(double least, double most);
  Option& not_negative();
  Option& one_of(const std::vector<std::string>& values);
  Option& separated_by(char separator);  // the values of a list
  Option& may_be_repeated();             // each time with one value of the list
  Option& not_with(const Option& other);
  Option& shows_default();  // in --help: the value that it holds now

 private:
  friend class Command;
  explicit Option(CLI::Option* option) : option_(option) {}
  CLI::Option* option_;
};

class Command {
 public:
  Command command(const std::string& name, const std::string& help) const;  // one below this one
  void needs_a_command();                                                   // one of those below
  Option option(const std::string& name, OptionValue value, const std::string& help);
  void flag(const std::string& name, bool* value, const std::string& help);
  void footer(std::function<std::string()> text);  // of --help
  void hide();                                     // from --help
  // `run` gives the exit code; it is called after the whole command line has been parsed.
  void runs(std::function<int()> run);

 private:
  friend class CommandLine;
  Command(CLI::App* app, std::function<int()>* chosen) : app_(app), chosen_(chosen) {}
  CLI::App* app_;
  std::function<int()>* chosen_;
};

// The program itself: what stands above all commands.
class CommandLine {
 public:
  CommandLine(const std::string& name, const std::string& description, const std::string& version,
              const std::string& footer);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  Command root();
  std::vector<std::string> commands() const;  // that --help names
  bool has_command(const std::string& name) const;
  // Returns what --help or --version asked for, or nothing: then chosen() is the command's function. Throws
  // UserError where an argument is wrong.
  std::optional<std::string> parse(std::vector<std::string> arguments);
  const std::function<int()>& chosen() const { return chosen_; }

 private:
  std::unique_ptr<CLI::App> app_;
  std::function<int()> chosen_;
};

}  // namespace headwater
