#include "headwater/backend/matmul_algorithms.h"

#include "headwater/base/error.h"
#include "headwater/config/json_text.h"

#include <nlohmann/json.hpp>

namespace headwater {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "headwater matmul algorithms";
constexpr int kVersion = 1;
constexpr std::size_t kDigits = 128;

const json& at(const json& object, const char* key, const std::string& name) {
  if (!object.is_object() || !object.contains(key)) throw UserError("{}: {} is missing", name, key);
  return object.at(key);
}

std::string text_at(const json& object, const char* key, const std::string& name) {
  const json& value = at(object, key, name);
  if (!value.is_string()) throw UserError("{}: {} is {}; it must be a text", name, key, value.dump());
  return value.get<std::string>();
}

double number_at(const json& object, const char* key, const std::string& name) {
  const json& value = at(object, key, name);
  if (!value.is_number() || value.get<double>() < 0.0)
    throw UserError("{}: {} is {}; it must be a number, at least 0", name, key, value.dump());
  return value.get<double>();
}

MatmulAlgorithms::Product product_of(const json& entry, const std::string& name) {
  MatmulAlgorithms::Product product;
  product.algorithm = text_at(entry, "algorithm", name);
  if (product.algorithm.size() != kDigits ||
      product.algorithm.find_first_not_of("0123456789abcdef") != std::string::npos)
    throw UserError("{}: algorithm is {}; it must be {} hexadecimal digits", name, product.algorithm,
                    kDigits);
  product.seconds = number_at(entry, "microseconds", name) * 1e-6;
  product.rule_seconds = number_at(entry, "rule_microseconds", name) * 1e-6;
  product.candidates = static_cast<int>(number_at(entry, "candidates", name));
  return product;
}

}  // namespace

MatmulAlgorithms parse_matmul_algorithms(const std::string& text, const std::string& name) {
  const json root = parse_json_text(text, name);
  if (const std::string format = text_at(root, "format", name); format != kFormat)
    throw UserError("{}: format is \"{}\", not \"{}\": headwater bench matmul writes such a file", name,
                    format, kFormat);
  if (const double version = number_at(root, "version", name); version != kVersion)
    throw UserError("{}: version is {}; this version of headwater reads {}", name, version, kVersion);
  MatmulAlgorithms algorithms;
  algorithms.file = name;
  algorithms.device = text_at(root, "device", name);
  algorithms.cublaslt = static_cast<std::int64_t>(number_at(root, "cublaslt", name));
  const json& products = at(root, "products", name);
  if (!products.is_object())
    throw UserError("{}: products is {}; it must be an object", name, products.type_name());
  for (const auto& [product, entry] : products.items())
    algorithms.products[product] = product_of(entry, name + ": " + product);
  return algorithms;
}

MatmulAlgorithms read_matmul_algorithms(const Path& file) {
  return parse_matmul_algorithms(read_text(file), file.string());
}

std::string text_of(const MatmulAlgorithms& algorithms) {
  json products = json::object();
  for (const auto& [name, p] : algorithms.products)
    products[name] = {{"algorithm", p.algorithm},
                      {"microseconds", p.seconds * 1e6},
                      {"rule_microseconds", p.rule_seconds * 1e6},
                      {"candidates", p.candidates}};
  return json{{"format", kFormat},
              {"version", kVersion},
              {"device", algorithms.device},
              {"cublaslt", algorithms.cublaslt},
              {"products", products}}
             .dump(2) +
         "\n";
}

}  // namespace headwater
