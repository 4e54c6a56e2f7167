// The package is CommonJS with a `default` of its own, which the bundler, as node would, hands over one level too deep.
import scrollbars from "./node_modules/react-custom-scrollbars-2/lib/index.js";

export default scrollbars.default ?? scrollbars;
export const Scrollbars = scrollbars.Scrollbars;
