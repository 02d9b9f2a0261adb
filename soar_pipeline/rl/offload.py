"""AdamW's moments in the machine's memory: 8 bytes per parameter less on the device, for a trip to it in every step."""

import torch

KEYS = ("exp_avg", "exp_avg_sq")

State = dict[str, torch.Tensor]


class OffloadedAdamW(torch.optim.AdamW):
    """AdamW that updates one parameter after the other, each with its moments on the device for that while.

    The numbers are those of AdamW. held: by parameter, its step count and moments, between steps; on the CPU, in memory
    that a GPU reads from directly.
    """

    def __init__(self, *args, **options):
        self.held: dict[torch.nn.Parameter, State] = {}
        super().__init__(*args, **options)

    def step(self, closure=None):
        loss = None if closure is None else closure()
        groups = [(group, group["params"]) for group in self.param_groups]
        try:
            for group, parameters in groups:
                for parameter in parameters:
                    if parameter.grad is not None:
                        for other, _ in groups:
                            other["params"] = [parameter] if other is group else []
                        self._step_of(parameter)
        finally:
            for group, parameters in groups:
                group["params"] = parameters
        if torch.cuda.is_available():
            # What is held is read on the CPU from here on.
            torch.cuda.current_stream().synchronize()
        return loss

    def hold(self, parameter: torch.nn.Parameter, state: State) -> None:
        """Go on from this state of a parameter."""
        on_gpu = parameter.device.type == "cuda"
        copies = {name: tensor.to("cpu", copy=True) for name, tensor in state.items()}
        self.held[parameter] = {name: tensor.pin_memory() if on_gpu else tensor for name, tensor in copies.items()}

    def _step_of(self, parameter: torch.nn.Parameter) -> None:
        held = self.held.get(parameter)
        if held is not None:
            self.state[parameter] = {
                name: tensor.to(parameter.device, non_blocking=True) for name, tensor in held.items()
            }
        super().step()
        state = self.state.pop(parameter)
        if held is None:
            self.hold(parameter, state)
            return
        for name, tensor in state.items():
            held[name].copy_(tensor, non_blocking=True)
