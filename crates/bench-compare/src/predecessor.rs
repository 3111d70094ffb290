//! The table of the system that annals replaces: its columns and its indexes.

pub const TABLE: &str = "
    CREATE TABLE inference_records (
        id INTEGER PRIMARY KEY,
        model_name TEXT NOT NULL,
        timestamp INTEGER NOT NULL,
        symbol TEXT NOT NULL,
        action TEXT NOT NULL,
        confidence REAL NOT NULL,
        probabilities TEXT NOT NULL,
        input_features_hash TEXT NOT NULL,
        processing_time_ms REAL NOT NULL,
        memory_usage_mb REAL,
        checkpoint_id TEXT
    );
    CREATE INDEX inference_model_time ON inference_records (model_name, timestamp);
    CREATE INDEX inference_symbol_time ON inference_records (symbol, timestamp);
    CREATE INDEX inference_hash ON inference_records (input_features_hash);
";

pub const INSERT: &str = "
    INSERT INTO inference_records (model_name, timestamp, symbol, action, confidence,
        probabilities, input_features_hash, processing_time_ms, memory_usage_mb, checkpoint_id)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
