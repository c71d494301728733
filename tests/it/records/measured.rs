//! The line of a cell that was measured, to the last digit.

use super::{
    outcomes::{context, measured, throughput},
    published,
};

#[test]
#[expect(clippy::too_many_lines, reason = "one snapshot")]
fn a_measured_cell() {
    insta::assert_json_snapshot!(published(&context(), &throughput(), &measured()), @r#"
    {
      "schema_version": "0.2.0",
      "timestamp": "2026-01-30T10:00:00.000000+00:00",
      "mlx_knife_version": "2.0.8",
      "test": "mlxk-harness::throughput[mlx-community/Qwen3-0.6B-4bit-p320-g3]",
      "outcome": "passed",
      "duration": 2.5,
      "model": {
        "id": "mlx-community/Qwen3-0.6B-4bit",
        "size_gb": 0.33,
        "family": "qwen",
        "variant": "3-0.6b",
        "framework": "MLX",
        "quantization": "4bit"
      },
      "performance": {
        "tokens_per_sec": 24.0,
        "ram_peak_mb": 2048.0,
        "duration_s": 0.40625,
        "prompt_tokens": 320,
        "completion_tokens": 3,
        "model_load_time_s": 1.25,
        "time_to_first_token_s": 0.25,
        "cleanup_time_s": 0.04,
        "peak_ram_gb": 2.0,
        "stable_ram_gb": 0.5
      },
      "system": {
        "platform": "darwin",
        "platform_version": "macOS 26.2",
        "mlx_version": "0.32.2",
        "hardware": "M2 Max",
        "ram_total_gb": 64.0,
        "hardware_profile": {
          "model_identifier": "Mac14,13",
          "model": "Mac14,13",
          "chip": "Apple M2 Max",
          "chip_cores_performance": 8,
          "chip_cores_efficiency": 4,
          "cores_physical": 12,
          "cores_logical": 12,
          "gpu_cores": 38,
          "metal_version": "4"
        }
      },
      "system_health": {
        "swap_gb": 1.5,
        "swap_used_mb": 1536,
        "ram_free_gb": 20.0,
        "zombies_detected": 2,
        "zombie_processes": 2,
        "quality_flags": [
          "degraded_swap",
          "degraded_zombies"
        ]
      },
      "timeline": {
        "model_load_start_ms": 0.0,
        "model_load_complete_ms": 1250.0,
        "request_sent_ms": 1250.0,
        "first_token_ms": 1500.0,
        "stream_complete_ms": 1656.25,
        "shutdown_request_ms": 1656.25,
        "cleanup_complete_ms": 1696.25
      },
      "metadata": {
        "inference_modality": "text",
        "mlxk_harness": {
          "version": "0.0.0",
          "mlx_version": "0.32.2",
          "mlx_rs_version": "0.33.0",
          "device": "gpu",
          "revision": "73e3e38d981303bc594367cd910ea6eb48349da8",
          "cell": {
            "scenario": "throughput",
            "prompt_tokens": 320,
            "generation_tokens": 3,
            "depth": 0,
            "prefill_chunk": 2048,
            "decode": "pipelined",
            "warmup": 1,
            "repetitions": 2
          },
          "settings": {
            "dequantize": false,
            "device": "auto",
            "sampling": {
              "temperature": 0.0,
              "top_p": 1.0,
              "min_p": 0.0,
              "top_k": 0,
              "seed": 0
            }
          },
          "random_ids": false,
          "prompts": {
            "made_of": "chat_turn",
            "text": "mlxk-harness-passages-1",
            "text_sha256": "3b5ab9c8160b365e358cbc89e8f48576dbf22491983c38ecc173e262a44a04cd",
            "distinct": 1
          },
          "answers_agree": true,
          "likelihood": {
            "mean_nll": 3.25,
            "tokens": 512,
            "text": "mlxk-harness-passages-1",
            "ids_sha256": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
          },
          "prompt_tokens_per_sec": 3072.0,
          "first_request_time_to_first_token_s": 0.75,
          "statistics": {
            "time_to_first_token_s": {
              "n": 2,
              "median": 0.25,
              "median_absolute_deviation": 0.125,
              "min": 0.125,
              "max": 0.375
            },
            "prompt_tokens_per_sec": {
              "n": 2,
              "median": 3072.0,
              "median_absolute_deviation": 2048.0,
              "min": 1024.0,
              "max": 5120.0
            },
            "tokens_per_sec": {
              "n": 2,
              "median": 24.0,
              "median_absolute_deviation": 8.0,
              "min": 16.0,
              "max": 32.0
            }
          },
          "definitions": {
            "tokens_per_sec": "decode_tps.n_minus_1",
            "time_to_first_token_s": "ttft.request_to_first",
            "prompt_tokens_per_sec": "prompt_tps.ready_to_first",
            "peak_ram_gb": "memory.mlx_peak_of_request",
            "stable_ram_gb": "memory.mlx_active_after_load",
            "timeline": "timeline.stages_end_to_end",
            "repetitions": "median, of peaks the maximum"
          },
          "figures": {
            "ttft.request_to_first": 0.25,
            "decode_tps.n_minus_1": 24.0,
            "prompt_tps.ready_to_first": 3072.0,
            "request_time.total": 0.40625,
            "decode_time.first_to_last": 0.09375,
            "e2e_latency.request_to_last": 0.34375,
            "output_tps.end_to_end": 11.0,
            "itl.p50": 0.046875,
            "itl.p90": 0.0625,
            "itl.p99": 0.0625,
            "itl.max": 0.0625,
            "mlx_lm_compat.prompt_tps": 3072.0,
            "mlx_lm_compat.generation_tps": 36.0,
            "llama_bench_pp": 3072.0,
            "llama_bench_tg": 24.0,
            "vllm_tpot": 0.046875,
            "guidellm_tpot": 0.11458333333333333,
            "aiperf_itl": 0.046875,
            "localscore_ttft": 0.234375
          },
          "model": {
            "model_type": "qwen3",
            "parameters": 596049920,
            "parameter_bytes": 335000000,
            "size_bytes": 351000000,
            "quantization": "4-bit affine, group 64",
            "dtype": "bfloat16",
            "format": "safetensors",
            "vocabulary": 151936,
            "context_length": 40960
          },
          "load": {
            "load_us": 1250000,
            "phases": [
              {
                "step": "open",
                "start_us": 0,
                "end_us": 50000
              },
              {
                "step": "evaluate",
                "start_us": 50000,
                "end_us": 950000,
                "bytes": 450000000,
                "gigabytes_per_s": 0.5
              },
              {
                "step": "tokenizer",
                "start_us": 950000,
                "end_us": 1250000
              }
            ],
            "resident_before": 0.25,
            "memory": {
              "active_bytes": 536870912,
              "peak_bytes": 335000000
            }
          },
          "memory": {
            "allocator": {
              "active_bytes": 536870912,
              "cache_bytes": 268435456,
              "peak_bytes": 2147483648
            },
            "process": {
              "counts": "phys_footprint",
              "bytes": 1073741824
            },
            "prediction": {
              "context": 323,
              "weight_bytes": 335000000,
              "cache_bytes": 58720256,
              "allowance_bytes": 8438272,
              "total_bytes": 402158528
            },
            "gaps": {
              "loaded_minus_predicted_weights": 201870912,
              "allocator_peak_minus_prediction": 1745325120
            }
          },
          "cleanup": {
            "released_us": 40000,
            "memory_back_us": 250000,
            "within_bytes": 67108864
          },
          "health": {
            "free_counts": "free pages",
            "before": {
              "free_bytes": 21474836480,
              "swap_used_bytes": 1610612736,
              "zombies": 2,
              "load_average": 1.5,
              "memory_pressure": 1,
              "gpu_busy_percent": 3
            },
            "after": {
              "free_bytes": 20401094656,
              "load_average": 2.5
            }
          },
          "host": {
            "architecture": "arm64",
            "device_name": "Apple M2 Max",
            "working_set_bytes": 51539607552,
            "load_average": 1.5,
            "memory_pressure": 1,
            "gpu_busy_percent": 3
          },
          "warnings": [
            "the tokenizer of `~/models/x` has no normalizer"
          ],
          "warmups": [
            {
              "prompt": 0,
              "prompt_tokens": 320,
              "prompt_sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
              "ids_sha256": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
              "prompt_ready_us": 62500,
              "submitted_us": [
                749500,
                780750,
                812000
              ],
              "visible_us": [
                750000,
                781250,
                812500
              ],
              "ended_us": 875000,
              "finish": {
                "reason": "length"
              },
              "memory": {
                "active_bytes": 536870912,
                "peak_bytes": 1073741824,
                "cache_bytes": 268435456,
                "process_bytes": 1073741824
              }
            }
          ],
          "samples": [
            {
              "prompt": 0,
              "prompt_tokens": 320,
              "prompt_sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
              "ids_sha256": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
              "prompt_ready_us": 62500,
              "submitted_us": [
                124500,
                155750,
                187000
              ],
              "visible_us": [
                125000,
                156250,
                187500
              ],
              "ended_us": 250000,
              "finish": {
                "reason": "length"
              },
              "memory": {
                "active_bytes": 536870912,
                "peak_bytes": 1073741824,
                "cache_bytes": 268435456,
                "process_bytes": 1073741824
              }
            },
            {
              "prompt": 0,
              "prompt_tokens": 320,
              "prompt_sha256": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
              "ids_sha256": "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
              "prompt_ready_us": 62500,
              "submitted_us": [
                374500,
                437000,
                499500
              ],
              "visible_us": [
                375000,
                437500,
                500000
              ],
              "ended_us": 562500,
              "finish": {
                "reason": "length"
              },
              "memory": {
                "active_bytes": 536870912,
                "peak_bytes": 2147483648,
                "cache_bytes": 268435456,
                "process_bytes": 1073741824
              }
            }
          ]
        }
      }
    }
    "#);
}
