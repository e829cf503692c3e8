#include "headwater/bench/bench_matmul.h"

#include "bench_config.h"
#include "commands.h"

#include <memory>
#include <ostream>

namespace headwater {
namespace {

struct BenchMatmulOptions {
  std::string config, out;
};

void print_table(const MatmulAlgorithms& algorithms, std::ostream& out) {
  out << fmt::format("{}, cuBLASLt {}\n", algorithms.device, algorithms.cublaslt)
      << fmt::format("{:>12}{:>12}{:>8}{:>8}  product: column-major, op[rows,columns:stride@alignment]\n",
                     "rule, us", "fastest", "gain", "timed");
  double rule = 0.0, fastest = 0.0;
  for (const auto& [name, p] : algorithms.products) {
    out << fmt::format("{:>12.2f}{:>12.2f}{:>7.1f}%{:>8}  {}\n", p.rule_seconds * 1e6, p.seconds * 1e6,
                       100.0 * (1.0 - p.seconds / p.rule_seconds), p.candidates, name);
    rule += p.rule_seconds, fastest += p.seconds;
  }
  out << fmt::format("{:>12.2f}{:>12.2f}{:>7.1f}%          each product once\n", rule * 1e6, fastest * 1e6,
                     100.0 * (1.0 - fastest / rule));
}

int bench_matmul_command(Session& session, const BenchMatmulOptions& options) {
  const RunConfig run = bench_config(options.config, session.overrides, 1);
  session.world.set_timeout(run.training.comm_timeout_s);
  const MatmulAlgorithms algorithms = bench_matmul(session.world, run);
  if (session.out() == nullptr) return 0;
  if (!options.out.empty()) write_text_atomically(options.out, text_of(algorithms));
  print_table(algorithms, *session.out());
  session.out()->flush();
  return 0;
}

}  // namespace

void add_bench_matmul(Command bench, Session& session) {
  auto options = std::make_shared<BenchMatmulOptions>();
  Command command = bench.command(
      "matmul",
      "On GPUs: time cuBLASLt's algorithms for the products of a training step; a run reads what is found");
  command.option("CONFIG", &options->config, "config file; its data and learning rate do not matter");
  command.option("--out", &options->out, "write the fastest ones, for training.matmul_algorithms");
  command.runs([&session, options] { return bench_matmul_command(session, *options); });
}

}  // namespace headwater
