-- RUN-34: the wish that a run ends, kept until it has ended, so that a crash does not forget it.

ALTER TABLE run ADD COLUMN cancel TEXT CHECK (cancel IN ('disconnect', 'interrupt', 'user'));
