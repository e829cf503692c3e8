// A timeline as a picture: a row per rank, time from left to right.

#include "headwater/plan/simulate/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

namespace headwater {
namespace {

constexpr double kLeft = 70.0, kWidth = 1200.0, kTop = 46.0, kRow = 20.0, kBar = 16.0, kHair = 0.05;

struct Paint {
  SpanKind kind;
  const char* colour;
  const char* label;
};
constexpr std::array kPaints = {Paint{SpanKind::forward, "#4c78a8", "forward"},
                                Paint{SpanKind::backward, "#54a24b", "backward"},
                                Paint{SpanKind::input_gradient, "#54a24b", ""},
                                Paint{SpanKind::weight_gradient, "#b6d957", "weight gradient"},
                                Paint{SpanKind::wait, "#e8e8e8", ""},
                                Paint{SpanKind::reduce, "#e45756", "sum gradients, gather weights"},
                                Paint{SpanKind::gather, "#e45756", ""},
                                Paint{SpanKind::update, "#f2a541", "update"}};

const Paint* paint_of(SpanKind kind) {
  const auto* found =
      std::find_if(kPaints.begin(), kPaints.end(), [&](const Paint& paint) { return paint.kind == kind; });
  return found == kPaints.end() ? nullptr : found;
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text)
    result += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string(1, c);
  return result;
}

// Returns the distance of about ten ticks: 1, 2 or 5 times a power of ten.
double tick_of(double seconds) {
  const double rough = seconds / 10.0, power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double step : {1.0, 2.0, 5.0})
    if (step * power >= rough) return step * power;
  return 10.0 * power;
}

}  // namespace

std::string timeline_svg(const Timeline& timeline, const std::string& title) {
  double end = 0.0;
  for (const std::vector<Span>& spans : timeline.ranks)
    for (const Span& span : spans) end = std::max(end, span.end);
  if (end <= 0.0) end = 1.0;
  const double scale = kWidth / end, bottom = kTop + kRow * static_cast<double>(timeline.ranks.size());

  std::string text;
  const auto out = std::back_inserter(text);
  fmt::format_to(out,
                 "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0f}\" height=\"{:.0f}\" "
                 "font-family=\"sans-serif\" "
                 "font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
                 "<text x=\"{:.0f}\" y=\"16\" font-size=\"13\">{}</text>\n",
                 kLeft + kWidth + 20.0, bottom + 26.0, kLeft, escaped(title));
  double x = kLeft;
  for (const Paint& paint : kPaints) {
    const std::string label = paint.label;
    if (label.empty()) continue;
    fmt::format_to(out,
                   "<rect x=\"{0:.0f}\" y=\"25\" width=\"11\" height=\"11\" fill=\"{1}\"/><text "
                   "x=\"{2:.0f}\" y=\"34\">{3}</text>\n",
                   x, paint.colour, x + 15.0, label);
    x += 30.0 + 6.0 * static_cast<double>(label.size());
  }
  const double tick = tick_of(end);
  for (int i = 0; i * tick <= end; ++i)
    fmt::format_to(out,
                   "<path d=\"M{0:.2f} {1:.0f}V{2:.0f}\" stroke=\"#ccc\"/><text x=\"{0:.2f}\" y=\"{3:.0f}\" "
                   "text-anchor=\"middle\">{4:g} ms</text>\n",
                   kLeft + i * tick * scale, kTop - 2.0, bottom + 2.0, bottom + 16.0, i * tick * 1e3);
  for (std::size_t rank = 0; rank < timeline.ranks.size(); ++rank) {
    const double y = kTop + kRow * static_cast<double>(rank);
    fmt::format_to(out, "<text x=\"{:.0f}\" y=\"{:.1f}\" text-anchor=\"end\">rank {}</text>\n", kLeft - 6.0,
                   y + 12.0, rank);
    for (const Span& span : timeline.ranks[rank]) {
      const Paint* paint = paint_of(span.kind);
      const double width = (span.end - span.begin) * scale;
      if (paint == nullptr || width < kHair) continue;
      fmt::format_to(out, "<rect x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{:.0f}\" fill=\"{}\"",
                     kLeft + span.begin * scale, y, width, kBar, paint->colour);
      // A rim tells neighbours apart where there is room for it.
      text += width > 3.0 ? " stroke=\"white\" stroke-width=\"0.5\"/>\n" : "/>\n";
    }
  }
  return text + "</svg>\n";
}

}  // namespace headwater
