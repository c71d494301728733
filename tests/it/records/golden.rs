//! One line for each kind of outcome but a measured one, to the last digit.

use super::{
    outcomes::{answered, bare_context, chat, context, failed, skipped, throughput},
    published,
};

#[test]
fn a_chat_that_a_stop_token_ended() {
    let record = published(&context(), &chat(), &answered());
    insta::assert_snapshot!(record.test, @"mlxk-harness::chat[mlx-community/Qwen3-0.6B-4bit-c60b12032-g50]");
    insta::assert_json_snapshot!(record.stop_tokens, @r#"
    {
      "configured": [
        "<|im_end|>",
        "<id:151643>"
      ],
      "detected": [
        "<|im_end|>"
      ],
      "workaround": "none",
      "leaked": false
    }
    "#);
    insta::assert_json_snapshot!(record.metadata.unwrap().mlxk_harness.cell, @r#"
    {
      "scenario": "chat",
      "prompt_sha256": "60b12032bb65d53604e6a053fc8a072e6f47334fcb4c093b8ab375ca897bf737",
      "max_tokens": 50,
      "depth": 0,
      "prefill_chunk": 2048,
      "decode": "pipelined",
      "warmup": 0,
      "repetitions": 1
    }
    "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one snapshot")]
fn a_cell_whose_model_did_not_load() {
    insta::assert_json_snapshot!(published(&context(), &throughput(), &failed()), @r#"
    {
      "schema_version": "0.2.0",
      "timestamp": "2026-01-30T10:00:00.000000+00:00",
      "mlx_knife_version": "2.0.8",
      "test": "mlxk-harness::throughput[mlx-community/Qwen3-0.6B-4bit-p320-g3]",
      "outcome": "failed",
      "duration": 2.5,
      "model": {
        "id": "mlx-community/Qwen3-0.6B-4bit",
        "family": "qwen",
        "variant": "3-0.6b"
      },
      "system": {
        "platform": "darwin",
        "platform_version": "macOS 26.2",
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
      "metadata": {
        "inference_modality": "text",
        "mlxk_harness": {
          "version": "0.0.0",
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
          "memory": {
            "prediction": {
              "context": 323,
              "weight_bytes": 335000000,
              "cache_bytes": 58720256,
              "allowance_bytes": 8438272,
              "total_bytes": 402158528
            }
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
            "load_average": 1.5,
            "memory_pressure": 1,
            "gpu_busy_percent": 3
          },
          "failure": {
            "stage": "load",
            "kind": "tensor_missing",
            "message": "tensor `lm_head.weight` of `model.safetensors` is missing",
            "hint": "look into `~/models/x`",
            "stderr": [
              "libc++abi: terminating [metal.cpp:7]"
            ]
          }
        }
      }
    }
    "#);
}

#[test]
fn a_cell_that_was_skipped() {
    insta::assert_json_snapshot!(published(&bare_context(), &chat(), &skipped()), @r#"
    {
      "schema_version": "0.2.0",
      "timestamp": "2026-01-30T10:00:00.000000+00:00",
      "mlx_knife_version": "2.0.8",
      "test": "mlxk-harness::chat[mlx-community/Qwen3-0.6B-4bit-c60b12032-g50]",
      "outcome": "skipped",
      "duration": 2.5,
      "model": {
        "id": "mlx-community/Qwen3-0.6B-4bit",
        "family": "qwen",
        "variant": "3-0.6b"
      },
      "metadata": {
        "inference_modality": "text",
        "skip_reason": "Skipped: too_large: `~/x` needs 44.4 GiB and 38.4 GiB are there",
        "mlxk_harness": {
          "version": "0.0.0",
          "cell": {
            "scenario": "chat",
            "prompt_sha256": "60b12032bb65d53604e6a053fc8a072e6f47334fcb4c093b8ab375ca897bf737",
            "max_tokens": 50,
            "depth": 0,
            "prefill_chunk": 2048,
            "decode": "pipelined",
            "warmup": 0,
            "repetitions": 1
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
          "skip": {
            "kind": "too_large",
            "reason": "`~/x` needs 44.4 GiB and 38.4 GiB are there"
          }
        }
      }
    }
    "#);
}
