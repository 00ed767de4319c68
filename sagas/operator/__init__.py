"""Operations on running and closed sagas: list, show, preview, verbs and rescue."""
