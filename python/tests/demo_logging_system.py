"""The demonstration of the predecessor's documentation, with other imports and nothing else.

The lines that were `from utils.` are `from annals.compat.` here.
"""

import time

import numpy as np
from annals.compat.checkpoint_manager import load_best_checkpoint, save_checkpoint
from annals.compat.database_manager import get_database_manager
from annals.compat.inference_logger import get_inference_logger, log_model_inference
from annals.compat.text_logger import get_text_logger


class Model:
    """Something to save."""

    def __init__(self):
        self.weights = [0.25, -0.5]


class DQNAgent:
    """An agent after the documentation's guide."""

    def __init__(self, orchestrator):
        self.orchestrator = orchestrator
        self.symbol = "ETH/USDT"
        self.current_checkpoint_id = "dqn_agent_20250725_143500"
        self.action_probabilities = {"BUY": 0.85, "SELL": 0.10, "HOLD": 0.05}

    def predict(self, state):
        start_time = time.time()
        action = "BUY"
        confidence = 0.85
        processing_time = (time.time() - start_time) * 1000
        self.orchestrator.log_model_inference(
            model_name="dqn_agent",
            symbol=self.symbol,
            action=action,
            confidence=confidence,
            probabilities=self.action_probabilities,
            input_features=state,
            processing_time_ms=processing_time,
            checkpoint_id=self.current_checkpoint_id,
        )
        return action


def main(orchestrator):
    features_array = np.random.default_rng(0).normal(size=(4, 8))

    # Usage of the inference logger.
    log_model_inference(
        model_name="dqn_agent",
        symbol="ETH/USDT",
        action="BUY",
        confidence=0.85,
        probabilities={"BUY": 0.85, "SELL": 0.10, "HOLD": 0.05},
        input_features=features_array,
        processing_time_ms=12.5,
        checkpoint_id="dqn_agent_20250725_143500",
    )

    # Model classes.
    agent = DQNAgent(orchestrator)
    for number in range(3):
        agent.predict(features_array + number + 1)

    # Save with metadata.
    checkpoint_metadata = save_checkpoint(
        model=Model(),
        model_name="dqn_agent",
        model_type="rl",
        performance_metrics={"loss": 0.0234, "accuracy": 0.87},
        training_metadata={"epochs": 100, "lr": 0.001},
    )
    print("saved", checkpoint_metadata.checkpoint_id)

    # The old way.
    checkpoint_path, metadata = load_best_checkpoint("dqn_agent")
    loss = metadata.loss
    print("loaded", checkpoint_path, loss)

    # The new way.
    db_manager = get_database_manager()
    metadata = db_manager.get_best_checkpoint_metadata("dqn_agent")
    loss = metadata.performance_metrics["loss"]
    print("loss", loss)

    metadata = orchestrator.get_checkpoint_metadata_fast("dqn_agent")
    if metadata:
        current_loss = metadata.performance_metrics["loss"]
        checkpoint_id = metadata.checkpoint_id
        print("current", current_loss, checkpoint_id)

    # Debug commands.
    db_manager = get_database_manager()
    checkpoints = db_manager.list_checkpoints("dqn_agent")
    print("checkpoints", len(checkpoints))

    inference_logger = get_inference_logger()
    stats = inference_logger.get_model_stats("dqn_agent", hours=24)
    print("inferences", stats["total_inferences"])

    text_logger = get_text_logger()
    recent = text_logger.get_recent_inferences(lines=50)
    for line in recent:
        print(line)

    # Maintenance.
    inference_logger.cleanup_old_logs(days_to_keep=30)
    text_logger.cleanup_old_logs(max_lines=10000)


if __name__ == "__main__":
    from annals.compat import OrchestratorLogging

    main(OrchestratorLogging())
