#include "scaling_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace headwater {
namespace {

constexpr double kWidth = 720, kHeight = 420, kLeft = 60, kRight = 250, kTop = 30, kBottom = 50;
constexpr std::array kColours = {"#1f6fb4", "#c8501e", "#2e8b57", "#8a4fb0", "#b8860b", "#444444"};

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '&' ? "&amp;" : c == '<' ? "&lt;" : std::string(1, c);
  return out;
}

}  // namespace

std::string scaling_svg(const ScalingReport& report) {
  double most_ranks = 1.0, most = 1.0;
  std::set<int> ranks;
  for (const ScalingRow& row : report.rows) {
    ranks.insert(row.run.ranks);
    most = std::max(most, row.efficiency);
  }
  const double least_ranks = *ranks.begin();
  most_ranks = std::max<double>(*ranks.rbegin(), 2.0 * least_ranks);
  most = std::ceil(most * 5.0) / 5.0;
  const auto x = [&](double count) {
    return kLeft +
           (kWidth - kLeft - kRight) * std::log2(count / least_ranks) / std::log2(most_ranks / least_ranks);
  };
  const auto y = [&](double efficiency) {
    return kTop + (kHeight - kTop - kBottom) * (1.0 - efficiency / most);
  };

  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" font-family=\"sans-serif\" "
      "font-size=\"12\">\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"white\"/>\n",
      kWidth, kHeight);
  for (int i = 0; i <= static_cast<int>(std::lround(most * 5.0)); ++i) {
    const double at = y(0.2 * i);
    svg += fmt::format(
        "<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>"
        "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{} %</text>\n",
        kLeft, kWidth - kRight, at, at, i == 5 ? "#888" : "#ddd", kLeft - 8, at + 4, 20 * i);
  }
  for (const int count : ranks)
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", x(count),
                       kHeight - kBottom + 18, count);
  svg += fmt::format(
      "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">ranks</text>\n"
      "<text x=\"{}\" y=\"18\">efficiency: tokens/s per rank, beside the baseline's</text>\n",
      (kLeft + kWidth - kRight) / 2, kHeight - 12, kLeft);

  int lines = 0;
  for (const ScalingKind kind : {ScalingKind::weak, ScalingKind::strong})
    for (std::size_t layout = 0; layout < report.layouts.size(); ++layout) {
      std::string points, dots;
      int largest = 0;
      const char* colour = kColours[layout % kColours.size()];
      for (const ScalingRow& row : report.rows) {
        if (row.kind != kind || row.run.layout != static_cast<int>(layout)) continue;
        points += fmt::format("{:.1f},{:.1f} ", x(row.run.ranks), y(row.efficiency));
        dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", x(row.run.ranks),
                            y(row.efficiency), colour);
        largest = row.run.ranks;
      }
      if (largest == 0) continue;
      const char* dash = kind == ScalingKind::weak ? "none" : "6 4";
      const double at = kTop + 12 + 18.0 * lines++, legend = kWidth - kRight + 14;
      svg += fmt::format(
          "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" "
          "stroke-dasharray=\"{}\"/>\n{}",
          points, colour, dash, dots);
      svg += fmt::format(
          "<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\" stroke-dasharray=\"{}\"/>"
          "<text x=\"{}\" y=\"{:.1f}\">{}: {}</text>\n",
          legend, legend + 24, at - 4, at - 4, colour, dash, legend + 30, at, name_of(kind),
          escaped(describe(report.layouts[layout].parallel, largest)));
    }
  return svg + "</svg>\n";
}

}  // namespace headwater
